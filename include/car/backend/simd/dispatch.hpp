// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "avx2.hpp"     // registers of 32 bytes
#include "avx512.hpp"   // registers of 64 bytes
#include "portable.hpp" // registers of 16 bytes

#include <cstdlib>     // std::getenv
#include <string_view> // the name of an instruction set

namespace car::inline CAR_ABI {

/// What the kernels of `simd` are compiled for.
enum class instruction_set { portable, avx2, avx512 };

namespace detail {

inline instruction_set find_instruction_set() noexcept {
#if defined(__x86_64__)
    const char* const name = std::getenv("CAR_ISA");
    const std::string_view wanted = name ? name : "";
    if (wanted == "portable") return instruction_set::portable;
    __builtin_cpu_init();
    if (wanted != "avx2" && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return instruction_set::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return instruction_set::avx2;
#endif
    return instruction_set::portable;
}

/// Exponentials below the normal numbers become 0 while one of these lives, as slow as some machines are with them, and rounding is to
/// nearest. Both are the caller's again afterwards.
class arithmetic_mode {
#if defined(__x86_64__)
    unsigned before_ = __builtin_ia32_stmxcsr();

  public:
    arithmetic_mode() noexcept { __builtin_ia32_ldmxcsr(0x9f80); } // flush to zero, every exception masked, to nearest
    ~arithmetic_mode() { __builtin_ia32_ldmxcsr(before_); }
#else
  public:
    arithmetic_mode() noexcept {}
#endif
    arithmetic_mode(const arithmetic_mode&) = delete;
    arithmetic_mode& operator=(const arithmetic_mode&) = delete;
};

} // namespace detail

/// The widest instruction set that this machine has, or the one that the environment's CAR_ISA names (portable, avx2, avx512) if it has
/// that. It is looked up once.
inline instruction_set active_instruction_set() noexcept {
    static const instruction_set found = detail::find_instruction_set();
    return found;
}

namespace kernel::simd_row {

/// Calls `run` with the kernels of the machine's instruction set.
template <class Run>
auto dispatch_unflushed(Run run) noexcept {
    switch (active_instruction_set()) {
#if defined(__x86_64__)
    case instruction_set::avx512: return run(avx512::kernels{});
    case instruction_set::avx2: return run(avx2::kernels{});
#endif
    default: return run(portable::kernels{});
    }
}
/// And in their arithmetic: exponentials are made, of which some are less than normal.
template <class Run>
auto dispatch(Run run) noexcept {
    const detail::arithmetic_mode mode;
    return dispatch_unflushed(run);
}

} // namespace kernel::simd_row

} // namespace car::inline CAR_ABI
