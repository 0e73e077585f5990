// SPDX-License-Identifier: Apache-2.0
// Each class of instructions against the host's own arithmetic: special values with one another, and random bits. What comes out is
// compared to the bit, where it is a number.
#include "support/ptx/machine.hpp"
#include "support/random.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace {

using i32 = std::int32_t;
using i64 = std::int64_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

template <class Op, class R, class... In>
__global__ void run(R* out, int count, const In*... in) {
    const int k = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (k < count) out[k] = Op::on_device(in[k]...);
}

template <class T>
struct device_array {
    T* data = nullptr;
    explicit device_array(std::size_t count) { cudaMalloc(&data, count * sizeof(T)); }
    explicit device_array(const std::vector<T>& from) : device_array(from.size()) {
        cudaMemcpy(data, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice);
    }
    device_array(const device_array&) = delete;
    ~device_array() { cudaFree(data); }
};

/// Bit patterns that mean something in one type or another.
const std::vector<u64>& special_bits() {
    static const std::vector<u64> all = [] {
        std::vector<u64> bits = {0,   1,      2,      3,      7,       31,         32,         33,         63,      64,
                                 255, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, ~u64{0}, u64{1} << 63};
        for (const float x : {1.f, -1.f, 0.5f, 1.5f, 2.5f, -2.5f, 65504.f, 65520.f, 3e38f, -3e38f, 1e-38f, 1e-45f, 2147483648.f, 1e19f,
                              HUGE_VALF, -HUGE_VALF, NAN, 1e-8f, 3.14159f}) {
            bits.push_back(std::bit_cast<u32>(x));
            bits.push_back(std::bit_cast<u64>(static_cast<double>(x)));
        }
        for (const double x : {1e300, -1e-300, 4.9e-324, 2.2250738585072014e-308, 1 + 0x1p-24, 1 + 0x1p-53})
            bits.push_back(std::bit_cast<u64>(x));
        return bits;
    }();
    return all;
}

template <class T>
T from_bits(u64 bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T>
double as_number(T x) {
    return static_cast<double>(x);
}

template <class T>
bool same(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
        if (a != a || b != b) return a != a && b != b;
    }
    return std::memcmp(&a, &b, sizeof a) == 0;
}

/// The bits of up to three inputs: special values, each with each, then random bits, then random values near one another.
const std::vector<std::array<u64, 3>>& input_bits() {
    static const std::vector<std::array<u64, 3>> all = [] {
        std::vector<std::array<u64, 3>> bits;
        cases::generator random(7);
        const auto add = [&](auto next) {
            std::array<u64, 3> values;
            for (u64& value : values) value = next();
            bits.push_back(values);
        };
        const auto& special = special_bits();
        for (std::size_t a = 0; a != special.size(); ++a)
            for (std::size_t b = 0; b != special.size(); ++b)
                bits.push_back({special[a], special[b], special[(a + 3 * b) % special.size()]});
        for (int k = 0; k != 2000; ++k) add([&] { return random(); });
        for (int k = 0; k != 2000; ++k) {
            // Numbers of ordinary size in the lower half and in the whole; integers that are small.
            add([&] {
                const double x = random.normal() * 10;
                const u64 wide = std::bit_cast<u64>(x), narrow = std::bit_cast<u32>(static_cast<float>(x));
                return k % 3 == 0 ? wide : k % 3 == 1 ? narrow : random.below(100);
            });
        }
        return bits;
    }();
    return all;
}

/// What stands at one of the three places, as values of a type.
template <class T>
std::vector<T> inputs(std::size_t place = 0) {
    std::vector<T> values;
    for (const auto& bits : input_bits()) values.push_back(from_bits<T>(bits[place]));
    return values;
}

template <class Op, class R, class... In>
std::vector<R> result_of(std::size_t count, const device_array<In>&... in) {
    const device_array<R> out(count);
    run<Op, R, In...><<<static_cast<unsigned>((count + 127) / 128), 128>>>(out.data, static_cast<int>(count), in.data...);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    std::vector<R> result(count);
    cudaMemcpy(result.data(), out.data, count * sizeof(R), cudaMemcpyDeviceToHost);
    return result;
}
template <class Op, class R, class... In>
std::vector<R> on_device(const std::vector<In>&... in) {
    return result_of<Op, R, In...>(input_bits().size(), device_array<In>(in)...);
}

/// How often an instruction was wrong, and the first time.
class mistakes {
    std::size_t count_ = 0;
    std::string first_;

  public:
    void add(std::initializer_list<double> in, double got, double wanted) {
        if (count_++ != 0) return;
        for (const double x : in) (first_ += ' ') += std::to_string(x);
        first_ += ": " + std::to_string(got) + ", not " + std::to_string(wanted);
    }
    void check(const char* name) const {
        INFO(name << first_);
        CHECK(count_ == 0);
    }
};

template <class Op, class R, class... In>
mistakes compare(const std::vector<In>&... in) {
    const std::vector<R> got = on_device<Op, R, In...>(in...);
    mistakes wrong;
    for (std::size_t k = 0; k != got.size(); ++k)
        if (const R wanted = Op::on_host(in[k]...); !same(got[k], wanted))
            wrong.add({as_number(in[k])...}, as_number(got[k]), as_number(wanted));
    return wrong;
}
template <class Op, class R, class... In>
void check(const char* name) {
    const auto compared = []<std::size_t... Place>(std::index_sequence<Place...>) { return compare<Op, R, In...>(inputs<In>(Place)...); };
    compared(std::index_sequence_for<In...>{}).check(name);
}

/// The host's arithmetic in one direction. The compiler knows nothing of it, so the operands come out of its sight.
template <class F>
auto rounded(int direction, F f) {
    std::fesetround(direction);
    const auto result = f();
    std::fesetround(FE_TONEAREST);
    return result;
}
template <class T>
T hidden(T x) {
    volatile T y = x;
    return y;
}

/// The nearest of all values of a format of two bytes, ties to the even one: by search.
template <class Value>
u16 nearest(double x, Value value, u16 infinity) {
    if (x != x) return 0x7fff;
    const double magnitude = std::fabs(x);
    u16 below = 0, above = infinity;
    while (above - below > 1) {
        const auto middle = static_cast<u16>((below + above) / 2);
        (value(middle) <= magnitude ? below : above) = middle;
    }
    // The step above the largest number leads to infinity as if it were the next number.
    const double low = value(below), high = above == infinity ? low + (low - value(static_cast<u16>(below - 1))) : value(above);
    const bool up = magnitude - low > high - magnitude || (magnitude - low == high - magnitude && (below & 1) != 0);
    return static_cast<u16>((up ? above : below) | (std::signbit(x) ? 0x8000 : 0));
}
double value_of_bf16(u16 bits) { return static_cast<double>(std::bit_cast<float>(u32{bits} << 16)); }
double value_of_f16(u16 bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double magnitude = exponent == 31  ? (fraction ? NAN : HUGE_VAL)
                             : exponent == 0 ? std::ldexp(fraction, -24)
                                             : std::ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}
u16 to_bf16(double x) { return std::isinf(x) ? (x < 0 ? 0xff80 : 0x7f80) : nearest(x, value_of_bf16, 0x7f80); }
u16 to_f16(double x) { return std::isinf(x) ? (x < 0 ? 0xfc00 : 0x7c00) : nearest(x, value_of_f16, 0x7c00); }

/// A sum of halves is wanted once rounded: 113 bits are enough for those that are compared here.
double odd(__float128 exact) {
    const auto x = static_cast<double>(exact);
    const auto rest = exact - static_cast<__float128>(x);
    if (rest == 0 || !std::isfinite(x) || (std::bit_cast<u64>(x) & 1) != 0) return x;
    return std::nextafter(x, rest > 0 ? HUGE_VAL : -HUGE_VAL);
}

} // namespace

#define ONE(name, R, A, device, ...)                                                                                                       \
    struct name {                                                                                                                          \
        static __device__ R on_device(A a) { return device; }                                                                              \
        static R on_host(A a) { return __VA_ARGS__; }                                                                                      \
    };                                                                                                                                     \
    TEST_CASE(#name) { check<name, R, A>(#name); }
#define TWO(name, R, A, B, device, ...)                                                                                                    \
    struct name {                                                                                                                          \
        static __device__ R on_device(A a, B b) { return device; }                                                                         \
        static R on_host(A a, B b) { return __VA_ARGS__; }                                                                                 \
    };                                                                                                                                     \
    TEST_CASE(#name) { check<name, R, A, B>(#name); }
#define THREE(name, R, A, B, C, device, ...)                                                                                               \
    struct name {                                                                                                                          \
        static __device__ R on_device(A a, B b, C c) { return device; }                                                                    \
        static R on_host(A a, B b, C c) { return __VA_ARGS__; }                                                                            \
    };                                                                                                                                     \
    TEST_CASE(#name) { check<name, R, A, B, C>(#name); }

namespace {

float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.f, x) : x; }
float larger(float a, float b) { return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? b : a) : a > b ? a : b; }

__device__ u32 mix(u32 a, u32 b, u32 c) {
    u32 d;
    asm("lop3.b32 %0, %1, %2, %3, 0xE2;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}
__device__ i32 field(i32 a, u32 at, u32 length) {
    i32 d;
    asm("bfe.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(at), "r"(length));
    return d;
}
__device__ u32 insert(u32 a, u32 b, u32 at, u32 length) {
    u32 d;
    asm("bfi.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(a), "r"(b), "r"(at), "r"(length));
    return d;
}
__device__ u32 left_by(u32 a, u32 n) {
    u32 d;
    asm("shl.b32 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(n));
    return d;
}
__device__ i32 right_by(i32 a, u32 n) {
    i32 d;
    asm("shr.s32 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(n));
    return d;
}
__device__ float add_flushed(float a, float b) {
    float d;
    asm("add.ftz.f32 %0, %1, %2;" : "=f"(d) : "f"(a), "f"(b));
    return d;
}
__device__ float bounded(float a, float b, float c) {
    float d;
    asm("fma.rn.sat.f32 %0, %1, %2, %3;" : "=f"(d) : "f"(a), "f"(b), "f"(c));
    return d;
}
__device__ u32 two_compares(float a, float b) {
    u32 d;
    asm("{ .reg .pred p, q, r;\n setp.gt.f32 r, %1, 0f00000000;\n setp.lt.and.f32 p|q, %1, %2, r;\n selp.u32 %0, 1, 0, p;\n @q add.u32 %0, "
        "%0, 2;\n "
        "@!p add.u32 %0, %0, 4; }"
        : "=r"(d)
        : "f"(a), "f"(b));
    return d;
}

#define UNARY_ASM(name, text)                                                                                                              \
    __device__ float name(float a) {                                                                                                       \
        float d;                                                                                                                           \
        asm(text " %0, %1;" : "=f"(d) : "f"(a));                                                                                           \
        return d;                                                                                                                          \
    }
UNARY_ASM(ex2, "ex2.approx.f32")
UNARY_ASM(ex2_flushed, "ex2.approx.ftz.f32")
UNARY_ASM(lg2, "lg2.approx.f32")
UNARY_ASM(rcp, "rcp.approx.ftz.f32")
UNARY_ASM(inverse_root, "rsqrt.approx.f32")
#undef UNARY_ASM

} // namespace

namespace of_float {
TWO(add, float, float, float, __fadd_rn(a, b), a + b)
TWO(sub, float, float, float, __fsub_rn(a, b), a - b)
TWO(mul, float, float, float, __fmul_rn(a, b), a* b)
TWO(div, float, float, float, __fdiv_rn(a, b), a / b)
THREE(fma, float, float, float, float, __fmaf_rn(a, b, c), std::fma(a, b, c))
TWO(add_up, float, float, float, __fadd_ru(a, b), rounded(FE_UPWARD, [&] { return hidden(a) + hidden(b); }))
TWO(mul_up, float, float, float, __fmul_ru(a, b), rounded(FE_UPWARD, [&] { return hidden(a) * hidden(b); }))
THREE(fma_zero, float, float, float, float, __fmaf_rz(a, b, c),
      rounded(FE_TOWARDZERO, [&] { return std::fma(hidden(a), hidden(b), hidden(c)); }))
TWO(max, float, float, float, fmaxf(a, b), larger(a, b))
TWO(min, float, float, float, fminf(a, b), -larger(-a, -b))
ONE(abs, float, float, fabsf(a), std::fabs(a))
ONE(neg, float, float, -a, -a)
ONE(square_root, float, float, __fsqrt_rn(a), std::sqrt(a))
ONE(reciprocal, float, float, __frcp_rn(a), 1 / a)
ONE(whole, float, float, rintf(a), std::nearbyint(a))
ONE(below, float, float, floorf(a), std::floor(a))
ONE(cut, float, float, truncf(a), std::trunc(a))
TWO(add_ftz, float, float, float, add_flushed(a, b), flushed(flushed(a) + flushed(b)))
THREE(fma_sat, float, float, float, float, bounded(a, b, c), std::fmin(std::fmax(std::fma(a, b, c), 0.f), 1.f))
TWO(less, u32, float, float, a < b, a < b)
TWO(not_less, u32, float, float, !(a < b), !(a < b))
TWO(equal, u32, float, float, a == b, a == b)
TWO(compares, u32, float, float, two_compares(a, b),
    (a < b && a > 0 ? 1u : 0u) + (!(a < b) && a > 0 ? 2u : 0u) + (!(a < b && a > 0) ? 4u : 0u))
} // namespace of_float

namespace of_double {
TWO(add, double, double, double, __dadd_rn(a, b), a + b)
TWO(mul, double, double, double, __dmul_rn(a, b), a* b)
TWO(div, double, double, double, __ddiv_rn(a, b), a / b)
THREE(fma, double, double, double, double, __fma_rn(a, b, c), std::fma(a, b, c))
ONE(square_root, double, double, __dsqrt_rn(a), std::sqrt(a))
TWO(less, u32, double, double, a < b, a < b)
ONE(whole, double, double, rint(a), std::nearbyint(a))
} // namespace of_double

namespace of_integers {
TWO(add, u32, u32, u32, a + b, a + b)
TWO(sub64, u64, u64, u64, a - b, a - b)
TWO(mul, u32, u32, u32, a* b, a* b)
TWO(mul64, u64, u64, u64, a* b, a* b)
TWO(wide, i64, i32, i32, i64{a} * b, i64{a} * b)
TWO(wide_unsigned, u64, u32, u32, u64{a} * b, u64{a} * b)
TWO(high, i32, i32, i32, __mulhi(a, b), static_cast<i32>(i64{a} * b >> 32))
TWO(high64, u64, u64, u64, __umul64hi(a, b), static_cast<u64>(static_cast<unsigned __int128>(a) * b >> 64))
THREE(mad, u32, u32, u32, u32, a* b + c, a* b + c)
TWO(quotient, u32, u32, u32, a / (b | 1), a / (b | 1))
TWO(remainder, i64, i64, i64, a % (b | 5), (b | 5) == -1 ? 0 : a % (b | 5))
TWO(least, i32, i32, i32, min(a, b), std::min(a, b))
TWO(most, u64, u64, u64, max(a, b), std::max(a, b))
ONE(absolute, i32, i32, abs(a), a < 0 ? static_cast<i32>(0u - static_cast<u32>(a)) : a)
TWO(left, u32, u32, u32, a << (b & 31), a << (b & 31))
TWO(right, i64, i64, u32, a >> (b & 63), a >> (b & 63))
TWO(left_far, u32, u32, u32, left_by(a, b), b > 31 ? 0 : a << b)
TWO(right_far, i32, i32, u32, right_by(a, b), b > 31 ? (a < 0 ? -1 : 0) : a >> b)
TWO(logic, u64, u64, u64, (a & ~b) | (a ^ b), (a & ~b) | (a ^ b))
THREE(lop3, u32, u32, u32, u32, mix(a, b, c), (~b & c) | (a & b))
TWO(funnel, u32, u32, u32, __funnelshift_l(a, b, a), static_cast<u32>(((u64{b} << 32 | a) << (a & 31)) >> 32))
THREE(bytes, u32, u32, u32, u32, __byte_perm(a, b, c & 0x7777), [&] {
    const u64 both = u64{b} << 32 | a;
    u32 chosen = 0;
    for (u32 k = 0; k != 4; ++k) chosen |= (static_cast<u32>(both >> 8 * (c >> 4 * k & 7)) & 0xffu) << 8 * k;
    return chosen;
}())
ONE(ones, u32, u32, static_cast<u32>(__popc(a)), static_cast<u32>(__builtin_popcount(a)))
ONE(zeros, u32, u64, static_cast<u32>(__clzll(static_cast<i64>(a))), a == 0 ? 64u : static_cast<u32>(__builtin_clzll(a)))
ONE(reversed, u32, u32, __brev(a), [&] {
    u32 r = 0;
    for (int k = 0; k != 32; ++k) r |= (a >> k & 1) << (31 - k);
    return r;
}())
THREE(extracted, i32, i32, u32, u32, field(a, b & 31, c & 31), [&] {
    const u32 at = b & 31, length = c & 31;
    if (length == 0) return 0;
    i64 bits = i64{a} >> at & ((i64{1} << length) - 1);
    const u32 last = std::min(at + length - 1, 31u); // beyond the value there is its sign
    if (a >> last & 1) bits |= ~((i64{1} << length) - 1);
    return static_cast<i32>(bits);
}())
THREE(inserted, u32, u32, u32, u32, insert(a, b, c & 31, c >> 5 & 15), [&] {
    const u32 at = c & 31, length = c >> 5 & 15;
    const u32 mask = static_cast<u32>(((u64{1} << length) - 1) << at);
    return (b & ~mask) | (static_cast<u32>(u64{a} << at) & mask);
}())
} // namespace of_integers

namespace conversion {
ONE(float_to_int, i32, float, __float2int_rz(a),
    a != a         ? 0
    : a >= 0x1p31f ? 0x7fffffff
    : a < -0x1p31f ? i32(0x80000000)
                   : static_cast<i32>(a))
ONE(float_to_int_up, i32, float, __float2int_ru(a),
    a != a                    ? 0
    : std::ceil(a) >= 0x1p31f ? 0x7fffffff
    : a < -0x1p31f            ? i32(0x80000000)
                              : static_cast<i32>(std::ceil(a)))
ONE(float_to_unsigned, u32, float, __float2uint_rn(a),
    a != a || a < 0 ? 0
    : a >= 0x1p32f  ? 0xffffffffu
                    : static_cast<u32>(std::nearbyint(a)))
ONE(int_to_float, float, i32, __int2float_rn(a), static_cast<float>(a))
ONE(int_to_float_down, float, i32, __int2float_rd(a), rounded(FE_DOWNWARD, [&] { return static_cast<float>(hidden(a)); }))
ONE(long_to_float, float, u64, __ull2float_rz(a), rounded(FE_TOWARDZERO, [&] { return static_cast<float>(hidden(a)); }))
ONE(long_to_double, double, i64, __ll2double_rn(a), static_cast<double>(a))
ONE(double_to_float, float, double, __double2float_rn(a), static_cast<float>(a))
ONE(double_to_float_up, float, double, __double2float_ru(a), rounded(FE_UPWARD, [&] { return static_cast<float>(hidden(a)); }))
ONE(double_to_float_zero, float, double, __double2float_rz(a), rounded(FE_TOWARDZERO, [&] { return static_cast<float>(hidden(a)); }))
ONE(double_to_long, i64, double, __double2ll_rz(a),
    a != a        ? i64(u64{1} << 63)
    : a >= 0x1p63 ? i64(~u64{0} >> 1)
    : a < -0x1p63 ? i64(u64{1} << 63)
                  : static_cast<i64>(a))
ONE(float_to_double, double, float, static_cast<double>(a), static_cast<double>(a))
ONE(to_b16, u16, float, __bfloat16_as_ushort(__float2bfloat16_rn(a)), to_bf16(static_cast<double>(a)))
ONE(from_b16, float, u16, __bfloat162float(__ushort_as_bfloat16(a)), static_cast<float>(value_of_bf16(a)))
ONE(to_half, u16, float, __half_as_ushort(__float2half_rn(a)), to_f16(static_cast<double>(a)))
ONE(from_half, float, u16, __half2float(__ushort_as_half(a)), static_cast<float>(value_of_f16(a)))
ONE(narrowed, i32, i32, static_cast<signed char>(a), static_cast<signed char>(a))
ONE(widened, i64, i32, static_cast<short>(a), static_cast<short>(a))
struct packed {
    static __device__ u32 on_device(float a, float b) {
        const __nv_bfloat162 both = __floats2bfloat162_rn(a, b);
        u32 bits;
        memcpy(&bits, &both, sizeof bits);
        return bits;
    }
    static u32 on_host(float a, float b) { return u32{to_bf16(static_cast<double>(b))} << 16 | to_bf16(static_cast<double>(a)); }
};
TEST_CASE("packed") { check<packed, u32, float, float>("packed"); }
} // namespace conversion

namespace of_halves {
TWO(add, u16, u16, u16, __half_as_ushort(__hadd(__ushort_as_half(a), __ushort_as_half(b))), to_f16(value_of_f16(a) + value_of_f16(b)))
TWO(mul, u16, u16, u16, __half_as_ushort(__hmul(__ushort_as_half(a), __ushort_as_half(b))), to_f16(value_of_f16(a) * value_of_f16(b)))
THREE(fma, u16, u16, u16, u16, __half_as_ushort(__hfma(__ushort_as_half(a), __ushort_as_half(b), __ushort_as_half(c))),
      to_f16(odd(static_cast<__float128>(value_of_f16(a)) * static_cast<__float128>(value_of_f16(b)) +
                 static_cast<__float128>(value_of_f16(c)))))
TWO(add_b, u16, u16, u16, __bfloat16_as_ushort(__hadd(__ushort_as_bfloat16(a), __ushort_as_bfloat16(b))),
    to_bf16(odd(static_cast<__float128>(value_of_bf16(a)) + static_cast<__float128>(value_of_bf16(b)))))
} // namespace of_halves

namespace {
struct power {
    static __device__ float on_device(float a) { return ex2(a); }
};
struct logarithm {
    static __device__ float on_device(float a) { return lg2(a); }
};
struct power_flushed {
    static __device__ float on_device(float a) { return ex2_flushed(a); }
};
struct others {
    static __device__ float on_device(float a) { return rcp(a) + inverse_root(a); }
    static float on_host(float a) { return flushed(1 / flushed(a)) + static_cast<float>(1 / std::sqrt(static_cast<double>(a))); }
};
} // namespace

TEST_CASE("approximations, and how far off they may be made") {
    constexpr float step = 0x1p-22f;
    const std::vector<float> x = inputs<float>();
    for (const double relative : {0.0, 0x1p-22}) {
        ptx::perturb(relative);
        const std::vector<float> powers = on_device<power, float, float>(x), logarithms = on_device<logarithm, float, float>(x);
        ptx::perturb(0);
        bool is_off = false;
        for (std::size_t k = 0; k != x.size(); ++k) {
            const double p = std::exp2(static_cast<double>(x[k])), l = std::log2(static_cast<double>(x[k]));
            const float allowed = ptx::is_stand_in() ? static_cast<float>(relative) + 0x1p-24f : 2 * step;
            INFO(x[k]);
            if (x[k] != x[k]) {
                CHECK(powers[k] != powers[k]);
            } else if (p > 0x1p-125 && p < 0x1p127) {
                CHECK(std::fabs(powers[k] - p) <= allowed * p);
                is_off = is_off || std::fabs(powers[k] - p) > 0x1p-23 * p;
            } else if (p > 0x1p129) {
                CHECK(powers[k] == HUGE_VALF);
            }
            if (x[k] < 0 || x[k] != x[k])
                CHECK(logarithms[k] != logarithms[k]);
            else if (x[k] > 0x1p-126f && std::isfinite(x[k]))
                CHECK(std::fabs(logarithms[k] - l) <= allowed * std::max(std::fabs(l), 1.0));
        }
        if (ptx::is_stand_in()) CHECK(is_off == (relative != 0));
    }
    const std::vector<float> flushed_powers = on_device<power_flushed, float, float>(x);
    for (std::size_t k = 0; k != x.size(); ++k)
        if (x[k] < -127) CHECK(flushed_powers[k] == 0);
    if (ptx::is_stand_in()) check<others, float, float>("rcp, rsqrt");
}
