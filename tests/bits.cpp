// SPDX-License-Identifier: Apache-2.0
// One number for the bits of everything that the scalar backend computes of many rows: `script/bits` compares it between builds.
#include <car/corrected.hpp>
#include <car/hvp.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include "support/row_cases.hpp"

#include <cstdio>
#include <cstring>

namespace {

class fingerprint {
    std::uint64_t value_ = 14695981039346656037u; // FNV-1a

  public:
    template <class T>
    void add(const std::vector<T>& values) {
        for (const T& v : values) {
            unsigned char bytes[sizeof(T)];
            std::memcpy(bytes, &v, sizeof v);
            for (const unsigned char byte : bytes) value_ = (value_ ^ byte) * 1099511628211u;
        }
    }
    unsigned long long value() const { return value_; }
};

template <class T>
void add_rows(fingerprint& bits, car::precision precision) {
    cases::generator random(101);
    for (const std::size_t classes : {1u, 2u, 10u, 33u, 400u})
        for (const auto f : cases::all_factual)
            for (const auto g : cases::all_counterfactual) {
                const auto row = cases::make<T>(classes, f, g, random);
                const auto n = static_cast<std::ptrdiff_t>(classes);
                const car::matrix_view<const T> p(row.p.data(), 1, n), c(row.c.data(), 1, n);
                std::vector<T> one(classes), other(classes);
                const car::matrix_view<T> One(one.data(), 1, n), Other(other.data(), 1, n);
                const std::vector<std::size_t> labels{row.label};
                const auto result = car::loss(p, c, labels, {.precision = precision}, {.grad_p = One, .grad_c = Other});
                bits.add(std::vector{result.value, result.cross_entropy, result.divergence});
                bits.add(one);
                bits.add(other);
                car::loss_hvp(p, c, labels, {.p = c, .c = p}, {.precision = precision}, {.grad_p = One, .grad_c = Other});
                bits.add(one);
                bits.add(other);
                car::softmax(p, One);
                car::corrected_softmax(p, c, Other);
                bits.add(one);
                bits.add(other);
            }
}

} // namespace

int main() {
    for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest}) {
        fingerprint of_float, of_double;
        add_rows<float>(of_float, precision);
        add_rows<double>(of_double, precision);
        std::printf("%016llx %016llx ", of_float.value(), of_double.value());
    }
    std::puts("");
}
