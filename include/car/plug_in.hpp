// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detail/cells.hpp" // the table that a sample becomes, treatment_result

namespace car::inline CAR_ABI {

/// What a stratum without treated or without control rows does: there is no effect, or it is left out, and counted. What is left out
/// changes the population that the effect is of.
enum class empty_stratum { undefined, drop };

struct plug_in_options {
    double level = 0.95; ///< of the interval, between 0 and 1
    enum interval interval = interval::student_t;
    enum empty_stratum empty_stratum = empty_stratum::undefined; ///< of the back door
    std::int64_t resamples = 1000;                               ///< of a bootstrap interval
    std::uint64_t seed = 0;                                      ///< of a bootstrap interval
    std::int64_t first_row = 0;                                  ///< the number of the first row in the whole sample
};

namespace detail {

/// Back door: cells are (stratum, treatment). Influence tau_s - tau + n_s / n_s1 (y - m_s1), - n_s / n_s0 (y - m_s0).
inline table_evaluation back_door_at(const std::vector<cell>& cells, enum empty_stratum how) {
    table_evaluation result(cells.size());
    double_double rows, total;
    for (std::size_t s = 0; s != cells.size(); s += 2) {
        const cell &control = cells[s], &treated = cells[s + 1];
        const double_double here = control.count + treated.count;
        if (here.high == 0) continue;
        if (control.empty() || treated.empty()) {
            ++result.empty_cells;
            if (how == empty_stratum::drop) {
                result.dropped += static_cast<std::int64_t>(here.high);
                result.left_out[s] = result.left_out[s + 1] = true;
            }
            continue;
        }
        result.level[s] = result.level[s + 1] = treated.mean() - control.mean();
        result.slope[s] = -(here / control.count);
        result.slope[s + 1] = here / treated.count;
        rows += here;
        total += here * result.level[s];
    }
    result.value = total / rows;
    if (result.empty_cells != 0 && how == empty_stratum::undefined) result.value = {std::numeric_limits<double>::quiet_NaN()};
    for (std::size_t k = 0; k != cells.size(); ++k)
        if (result.slope[k].high != 0) result.level[k] += -result.value;
    return result;
}

/// Front door: cells are (mediator, treatment), xi(m) = sum_x mu(m,x) P(x), psi(x) = sum_m P(m|x) xi(m). Influence on psi(1) - psi(0):
///     [x = 1] (xi(m) - psi(1)) / P(1) - [x = 0] (xi(m) - psi(0)) / P(0) + sum_m' (P(m'|1) - P(m'|0)) mu(m',x) - (psi(1) - psi(0))
///     + (P(m|1) - P(m|0)) / P(m|x) (y - mu(m,x))
inline table_evaluation front_door_at(const std::vector<cell>& cells) {
    table_evaluation result(cells.size());
    double_double arm[2], share[2], psi[2], bridge[2]; // bridge: sum_m (P(m|1) - P(m|0)) mu(m,x)
    for (std::size_t k = 0; k != cells.size(); ++k) arm[k % 2] += cells[k].count;
    for (const std::size_t x : {0u, 1u}) share[x] = arm[x] / (arm[0] + arm[1]);
    std::vector<double_double> xi(cells.size() / 2);
    for (std::size_t m = 0; m != xi.size(); ++m) {
        const cell &control = cells[2 * m], &treated = cells[2 * m + 1];
        if (control.empty() && treated.empty()) continue; // a mediator that does not occur
        result.empty_cells += control.empty() || treated.empty();
        xi[m] = control.mean() * share[0] + treated.mean() * share[1];
        const double_double likelier = treated.count / arm[1] - control.count / arm[0];
        for (const std::size_t x : {0u, 1u}) {
            const cell& here = cells[2 * m + x];
            psi[x] += here.count / arm[x] * xi[m];
            bridge[x] += likelier * here.mean();
            result.slope[2 * m + x] = likelier * arm[x] / here.count;
        }
    }
    result.value = psi[1] - psi[0];
    for (std::size_t k = 0; k != cells.size(); ++k) {
        const std::size_t x = k % 2;
        const double_double own = (xi[k / 2] - psi[x]) / share[x];
        if (!cells[k].empty()) result.level[k] = (x == 1 ? own : -own) + bridge[x] - result.value;
    }
    return result;
}

} // namespace detail

/// Effects in a stream of rows whose confounder or mediator is discrete: the state is a table, which merges.
///
/// Requires  merging: the same number of categories and options, but for first_row.
/// Numerics  any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error).
/// Cost      each array read once; 80 bytes for a category, 128 more for each of its resamples, and the clusters.
class plug_in_accumulator {
    std::int64_t categories_, rows_ = 0;
    plug_in_options options_;
    detail::table table_;

    detail::interval_options interval() const { return {options_.level, options_.interval}; }
    template <class At>
    treatment_result finish(At at) const {
        treatment_result result = table_.result(interval(), at);
        const std::vector<detail::cell> cells = table_.cells();
        for (std::size_t k = 0; k != cells.size(); k += 2) {
            const bool dropped = options_.empty_stratum == empty_stratum::drop && (cells[k].empty() || cells[k + 1].empty());
            result.control += dropped ? 0 : static_cast<std::int64_t>(cells[k].count.high);
            result.treated += dropped ? 0 : static_cast<std::int64_t>(cells[k + 1].count.high);
        }
        if (result.count == 0)
            detail::undefined(result, reason::no_rows);
        else if (result.treated == 0)
            detail::undefined(result, reason::no_treated);
        else if (result.control == 0)
            detail::undefined(result, reason::no_control);
        else if (std::isnan(result.mean))
            detail::undefined(result, result.empty_cells != 0 ? reason::empty_cell : reason::not_finite);
        return result;
    }

  public:
    explicit plug_in_accumulator(std::int64_t categories, const plug_in_options& options = {})
        : categories_(categories), options_(options), table_(0, 0, 0) {
        const detail::checker check("plug_in_accumulator");
        check.require(categories >= 1, "categories is less than 1");
        detail::check_interval(check, interval(), options.resamples);
        table_ = detail::table(2 * static_cast<std::size_t>(categories), options.seed, detail::kept(interval(), options.resamples));
    }

    /// Adds rows: `category` is the stratum of the back door, the mediator of the front door.
    void add(const label_view& treatment, const vector_view<const double>& outcome, const label_view& category,
             const label_view& clusters = {}) {
        const detail::checker check("plug_in_accumulator::add");
        detail::check_arms(check, treatment);
        check.shape(detail::footprint_of("outcome", outcome), treatment.size(), 1);
        detail::check_category(check, "category", category, treatment.size(), categories_);
        if (clusters.data()) check.shape(detail::footprint_of("clusters", clusters), treatment.size(), 1);
        check.same_units(treatment.size() == 0 || table_.takes(clusters.data() != nullptr));
        for (std::ptrdiff_t i = 0; i != outcome.size; ++i, ++rows_)
            table_.add(static_cast<std::size_t>(2 * category[i] + treatment[i]), outcome[i], options_.first_row + rows_, clusters, i);
    }
    void merge(const plug_in_accumulator& other) {
        const detail::checker check("plug_in_accumulator::merge");
        check.require(other.categories_ == categories_, "other has another number of categories");
        const plug_in_options &a = options_, &b = other.options_;
        check.require(a.level == b.level && a.interval == b.interval && a.empty_stratum == b.empty_stratum && a.resamples == b.resamples &&
                          a.seed == b.seed,
                      "other has another level, interval, rule for empty strata, number of resamples or seed");
        check.same_units(table_.takes(other.table_));
        rows_ += other.rows_;
        table_.merge(other.table_);
    }

    treatment_result back_door() const {
        return finish([&](const std::vector<detail::cell>& cells) { return detail::back_door_at(cells, options_.empty_stratum); });
    }
    treatment_result front_door() const { return finish(detail::front_door_at); }
};

/// Back-door adjustment by strata of a discrete confounder: sum_s n_s / n (mean of treated in s - mean of control in s).
///
/// Shapes    treatment (0 or 1), outcome, stratum (0 to strata - 1), clusters: N.
/// Requires  sizes that agree, values in range, strata >= 1, level in (0, 1); else throws std::invalid_argument.
/// Numerics  in double-double. A stratum with one arm only: NaN, reason empty_cell, or dropped and counted; an arm of a stratum with one
///           row: a mean, no standard error.
/// Cost      as plug_in_accumulator.
/// Source    Pearl 2009, 3.3.1; OccludeNet, section 4.2, with the sum over the confounder that the paper leaves out.
inline treatment_result stratification(const label_view& treatment, const vector_view<const double>& outcome, const label_view& stratum,
                                       std::int64_t strata, const plug_in_options& options = {}, const label_view& clusters = {}) {
    plug_in_accumulator all(strata, options);
    all.add(treatment, outcome, stratum, clusters);
    return all.back_door();
}

/// Front-door adjustment by a discrete mediator: psi(1) - psi(0), psi(x) = sum_m P(m|x) sum_x' E[y|m,x'] P(x').
///
/// Shapes    treatment (0 or 1), outcome, mediator (0 to mediators - 1), clusters: N.
/// Requires  as stratification.
/// Numerics  in double-double. A mediator seen with one treatment only: NaN, reason empty_cell.
/// Cost      as plug_in_accumulator.
/// Source    Pearl 2009, 3.3.2.
inline treatment_result front_door(const label_view& treatment, const vector_view<const double>& outcome, const label_view& mediator,
                                   std::int64_t mediators, const plug_in_options& options = {}, const label_view& clusters = {}) {
    plug_in_options keep = options;
    keep.empty_stratum = empty_stratum::undefined;
    plug_in_accumulator all(mediators, keep);
    all.add(treatment, outcome, mediator, clusters);
    return all.front_door();
}

} // namespace car::inline CAR_ABI
