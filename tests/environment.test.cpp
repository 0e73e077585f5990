// SPDX-License-Identifier: Apache-2.0
// Around the arithmetic: memory that ends where the array ends, sizes and strides beyond 2^32, denormals flushed to zero, other
// rounding modes, no allocation.
#include <car/corrected.hpp>
#include <car/hvp.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <cfenv>
#include <cmath>
#include <cstdlib>
#include <new>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

std::size_t allocations = 0;

/// Reserved memory, of which only the pages that are touched exist.
class pages {
    std::size_t size_;
    char* data_;

  public:
    explicit pages(std::size_t size, int protection = PROT_READ | PROT_WRITE)
        : size_(size), data_(static_cast<char*>(mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
        REQUIRE(data_ != MAP_FAILED);
    }
    pages(const pages&) = delete;
    pages& operator=(const pages&) = delete;
    ~pages() { munmap(data_, size_); }
    char* data() const { return data_; }
};

/// An array whose end (or whose beginning) lies at a page that may not be touched.
template <class T>
class guarded {
    static constexpr std::size_t room = 1 << 16;
    std::size_t page_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    pages pages_{room + 2 * page_, PROT_NONE};
    T* first_;

  public:
    guarded(std::size_t size, bool at_end) {
        REQUIRE(mprotect(pages_.data() + page_, room, PROT_READ | PROT_WRITE) == 0);
        first_ = reinterpret_cast<T*>(pages_.data() + page_ + (at_end ? room - size * sizeof(T) : 0));
    }
    T* data() const { return first_; }
    T& operator[](std::size_t i) const { return first_[i]; }
};

template <class T>
struct call {
    car::matrix_view<const T> p, c;
    car::matrix_view<T> grad_p, grad_c;
    car::vector_view<const int> labels;

    car::loss_result operator()(const car::loss_options& options) const {
        const auto result = car::loss(p, c, labels, options, {.grad_p = grad_p, .grad_c = grad_c});
        car::loss_hvp(p, c, labels, {.p = c, .c = p}, options, {.grad_p = grad_p, .grad_c = grad_c});
        car::softmax(p, grad_p);
        car::log_softmax(p, grad_p);
        car::corrected_softmax(p, c, grad_c);
        car::corrected_softmax_vjp(grad_c, c, {.grad_p = grad_p});
        return result;
    }
};

} // namespace

// Counts what the library asks for. Not inline: g++ 12 would miss that new and delete belong together.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE_TEMPLATE("nothing before or behind an array is touched", T, float, double, car::bfloat16, car::float16) {
    for (const bool at_end : {false, true})
        for (const std::size_t classes : {1u, 2u, 3u, 7u, 16u, 33u, 100u})
            for (const std::size_t rows : {1u, 3u}) {
                const guarded<T> p(rows * classes, at_end), c(rows * classes, at_end), grad_p(rows * classes, at_end),
                    grad_c(rows * classes, at_end);
                const guarded<int> labels(rows, at_end);
                cases::generator random(3);
                for (std::size_t i = 0; i != rows * classes; ++i) {
                    p[i] = static_cast<T>(random.normal());
                    c[i] = static_cast<T>(random.normal());
                }
                for (std::size_t i = 0; i != rows; ++i) labels[i] = static_cast<int>(random.below(classes));
                const auto n = static_cast<std::ptrdiff_t>(rows), k = static_cast<std::ptrdiff_t>(classes);
                for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest}) {
                    const auto result =
                        call<T>{{p.data(), n, k}, {c.data(), n, k}, {grad_p.data(), n, k}, {grad_c.data(), n, k}, {labels.data(), n}}(
                            {.precision = precision});
                    CHECK(std::isfinite(result.value));
                }
            }
}

TEST_CASE("strides beyond 2^32 elements") {
    using T = float;
    constexpr std::ptrdiff_t row = (std::ptrdiff_t{1} << 32) + 1027, column = (std::ptrdiff_t{1} << 31) + 5;
    const pages far_p(static_cast<std::size_t>(2 * row + 2 * column + 1) * sizeof(T)),
        far_grad(static_cast<std::size_t>(2 * row + 2 * column + 1) * sizeof(T));
    const car::matrix_view<T> p(reinterpret_cast<T*>(far_p.data()), 3, 3, row, column),
        grad(reinterpret_cast<T*>(far_grad.data()), 3, 3, row, column);
    std::vector<T> near(9), near_grad(9), c(9, 0.5f);
    cases::generator random(8);
    for (std::ptrdiff_t i = 0; i != 3; ++i)
        for (std::ptrdiff_t k = 0; k != 3; ++k) near[static_cast<std::size_t>(3 * i + k)] = p(i, k) = static_cast<T>(random.normal());
    const std::vector<int> labels{2, 0, 1};
    const auto far = car::loss(p, {c.data(), 3, 3}, labels, {}, {.grad_p = grad});
    const auto want =
        car::loss(car::matrix_view<const T>(near.data(), 3, 3), {c.data(), 3, 3}, labels, {}, {.grad_p = {near_grad.data(), 3, 3}});
    CHECK(far.value == want.value);
    for (std::ptrdiff_t i = 0; i != 3; ++i)
        for (std::ptrdiff_t k = 0; k != 3; ++k) CHECK(grad(i, k) == near_grad[static_cast<std::size_t>(3 * i + k)]);
}

TEST_CASE("more than 2^31 rows, and with CAR_EXHAUSTIVE more than 2^32 classes") {
    const float value = 1;
    const int label = 0;
    const unsigned char no = 0;
    const std::ptrdiff_t many = (std::ptrdiff_t{1} << 31) + 3;
    if (types::exhaustive()) {
        // Every row is the same row in the same memory.
        const car::matrix_view<const float> p(&value, many, 1, 0);
        const auto rows = car::loss(p, {}, car::vector_view<const int>(&label, many, 0), {.alpha = 0});
        CHECK(rows.count == many);
        CHECK(rows.value == 0);
        const std::ptrdiff_t classes = (std::ptrdiff_t{1} << 32) + 5;
        const auto wide = car::loss(car::matrix_view<const float>(&value, 1, classes, 0, 0), {}, std::vector{classes - 1}, {.alpha = 0});
        const double want = std::log(static_cast<double>(classes));
        CHECK(std::abs(wide.value - want) <= 4 * types::u<float> * want);
    }
    const car::matrix_view<const float> p(&value, many, 1, 0);
    const std::ptrdiff_t last_label = 4;
    // The sizes are added up in 64 bits: the message comes of the last row.
    CHECK_THROWS_WITH(car::loss(p, p, car::vector_view<const std::ptrdiff_t>(&last_label, 5, 0)),
                      "car::loss: labels has size 5, expected 2147483651, one for each row");
    CHECK(car::mask_view(car::vector_view<const unsigned char>(&no, many, 0)).size() == many);
}

TEST_CASE_TEMPLATE("a call allocates nothing", T, float, double, car::bfloat16, car::float16) {
    std::vector<T> p(60, T(0.5)), c(60, T(0.25)), grad_p(60), grad_c(60);
    p[7] = T(3);
    std::vector<int> labels{0, 1, 2};
    const call<T> all{{p.data(), 3, 20}, {c.data(), 3, 20}, {grad_p.data(), 3, 20}, {grad_c.data(), 3, 20}, labels};
    for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest}) {
        const std::size_t before = allocations;
        all({.precision = precision});
        CHECK(allocations == before);
    }
}

namespace {

/// Rows of every size of logits, denormal ones too.
template <class T>
std::vector<T> logits_of_every_size(std::size_t size, std::uint64_t seed) {
    cases::generator random(seed);
    std::vector<T> values(size);
    for (std::size_t i = 0; i != size; ++i)
        values[i] = static_cast<T>(random.normal() *
                                   std::exp2(static_cast<double>(random.below(4) == 0 ? -static_cast<int>(random.below(160)) : 4)));
    return values;
}

template <class T>
struct run_of_every_size {
    static constexpr std::ptrdiff_t rows = 40, classes = 12;
    std::vector<T> grad_p = std::vector<T>(rows * classes), grad_c = grad_p;
    std::vector<car::term_of<T>> loss = std::vector<car::term_of<T>>(rows), divergence = loss;
    car::loss_result result;

    run_of_every_size(const std::vector<T>& p, const std::vector<T>& c, car::precision precision) {
        std::vector<int> labels;
        for (int i = 0; i != rows; ++i) labels.push_back(i % static_cast<int>(classes));
        result = car::loss(car::matrix_view<const T>(p.data(), rows, classes), {c.data(), rows, classes}, labels,
                           {.reduction = car::reduction::sum, .precision = precision},
                           {.grad_p = {grad_p.data(), rows, classes},
                            .grad_c = {grad_c.data(), rows, classes},
                            .row_loss = loss,
                            .row_divergence = divergence});
    }
    /// Within so much of 1 + |value|, and twice the least normal number, of another run.
    bool is_near(const run_of_every_size& other, double allowed) const {
        const auto near = [&](const auto& mine, const auto& its) {
            using number = std::remove_cvref_t<decltype(mine[0])>;
            for (std::size_t i = 0; i != mine.size(); ++i) {
                const double a = static_cast<double>(mine[i]), b = static_cast<double>(its[i]);
                if (!(std::abs(a - b) <= (allowed + types::u<number>)*(1 + std::abs(b)) + 2 * types::limits<number>::least_normal))
                    return false;
            }
            return true;
        };
        return near(grad_p, other.grad_p) && near(grad_c, other.grad_c) && near(loss, other.loss) && near(divergence, other.divergence);
    }
};

} // namespace

#if defined(__SSE2__)
TEST_CASE_TEMPLATE("denormals flushed to zero change nothing above the least normal number", T, float, double) {
    const auto p = logits_of_every_size<T>(480, 1), c = logits_of_every_size<T>(480, 2);
    for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest}) {
        const run_of_every_size<T> plain(p, c, precision);
        const unsigned before = _mm_getcsr();
        _mm_setcsr(before | 0x8040); // flush to zero, denormals are zero
        const run_of_every_size<T> flushed(p, c, precision);
        _mm_setcsr(before);
        CHECK(flushed.is_near(plain, 0));
    }
}
#endif

TEST_CASE_TEMPLATE("other rounding modes: no NaN, and every value near", T, float, double) {
    const auto p = logits_of_every_size<T>(480, 1), c = logits_of_every_size<T>(480, 2);
    for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest}) {
        const run_of_every_size<T> plain(p, c, precision);
        for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
            std::fesetround(mode);
            const run_of_every_size<T> other(p, c, precision);
            std::fesetround(FE_TONEAREST);
            CHECK(std::isfinite(other.result.value));
            // The exponent of exp rounds to one side too, and the rest may reach ln 2: of its series, 0.7^14/14! < 2^-43 is left out, in
            // the few terms of a row. A rounding of an array's type costs two units and not one.
            CHECK(other.is_near(plain, 0x1p-40 + 3 * types::u<T>));
        }
    }
}
