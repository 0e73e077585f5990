// SPDX-License-Identifier: Apache-2.0
// Two-byte floats, as many as a register has floats. A bfloat16 is the upper half of a float.

typedef std::uint16_t shorts __attribute__((vector_size(bytes / 2)));
typedef std::uint32_t unsigned_ints __attribute__((vector_size(bytes)));

[[gnu::always_inline]] inline floats widen_two_bytes(const bfloat16* from) {
    shorts kept;
    __builtin_memcpy(&kept, from, sizeof kept);
    const unsigned_ints bits = __builtin_convertvector(kept, unsigned_ints) << 16;
    floats value;
    __builtin_memcpy(&value, &bits, bytes);
    return value;
}
/// To nearest, ties to even; no NaN comes here.
[[gnu::always_inline]] inline void narrow_to_two_bytes(bfloat16* to, const floats& value) {
    unsigned_ints bits;
    __builtin_memcpy(&bits, &value, bytes);
    const shorts kept = __builtin_convertvector((bits + 0x7fff + (bits >> 16 & 1)) >> 16, shorts);
    __builtin_memcpy(static_cast<void*>(to), &kept, sizeof kept);
}
