// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a fuzzer's bytes are read as. Every target is `void fuzz(input&)`; what must hold is said by `hold`.

#include <car/options.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

class input {
    const std::uint8_t* data_;
    std::size_t size_;

  public:
    input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    template <class T>
    T bits() {
        unsigned char raw[sizeof(T)] = {};
        const std::size_t count = size_ < sizeof(T) ? size_ : sizeof(T);
        if (count != 0) std::memcpy(raw, data_, count);
        data_ += count;
        size_ -= count;
        T value;
        std::memcpy(&value, raw, sizeof value);
        return value;
    }
    std::ptrdiff_t below(std::ptrdiff_t n) { return bits<std::uint8_t>() % n; }
    bool flag() { return below(2) != 0; }

    /// A number of any kind: often one that is special.
    double number() {
        switch (below(12)) {
        case 0: return 0;
        case 1: return std::numeric_limits<double>::infinity();
        case 2: return -std::numeric_limits<double>::infinity();
        case 3: return std::numeric_limits<double>::quiet_NaN();
        case 4: return bits<double>();
        case 5: return 3e38 * (flag() ? 1 : -1);
        case 6: return static_cast<double>(bits<float>());
        case 7: return 1e4 * static_cast<double>(bits<std::int8_t>());
        default: return static_cast<double>(bits<std::int16_t>()) / 4096;
        }
    }
    template <class T>
    std::vector<T> numbers(std::ptrdiff_t size) {
        std::vector<T> values;
        for (std::ptrdiff_t i = 0; i != size; ++i) values.push_back(static_cast<T>(number()));
        return values;
    }
    template <class Enum>
    Enum choice(std::ptrdiff_t count) {
        return static_cast<Enum>(below(count));
    }

    /// Options that no call refuses.
    car::loss_options valid_options() {
        car::loss_options o{.alpha = static_cast<double>(bits<std::int8_t>()) / 16};
        o.kl_target = choice<car::kl_target>(2);
        o.flow = choice<car::flow>(4);
        if (o.kl_target == car::kl_target::label) o.flow = flag() ? car::flow::full : car::flow::stop_counterfactual;
        o.precision = choice<car::precision>(3);
        o.reduction = flag() ? car::reduction::sum : car::reduction::mean;
        if (flag()) o.label_smoothing = 0.25;
        if (flag()) o.softcap = 20.0;
        if (flag()) o.z_weight = 0.125;
        return o;
    }
};

inline void hold(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

void fuzz(input& bytes);

// Each target is one program of one file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    input bytes(data, size);
    fuzz(bytes);
    return 0;
}
