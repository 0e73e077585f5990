// SPDX-License-Identifier: Apache-2.0
// The loss of Causal Action Recognition on real images under tracked occlusion: does it help, with which fill and which flow?
#include "measure.hpp"
#include "network.hpp"

#include <car/effect.hpp>   // P_effect, intervals over seeds
#include <car/evaluate.hpp> // the drop of the accuracy by class

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>

struct configuration {
    std::string data = "/usr/share/datasets/fashion-mnist", output = "build/demo/out";
    int seeds = 8, train = 4000, test = 3000, epochs = 12, batch = 64, hidden = 256, threads = 2;
    float rate = 0.03F;
    bool quick = false;
};

struct setting {
    double alpha;
    const char* fill;
    car::flow flow;

    std::string name() const {
        if (alpha == 0) return "cross-entropy only";
        std::ostringstream text;
        text << (flow == car::flow::full ? "full" : "stop_target") << ", " << fill << " fill, alpha " << alpha;
        return text.str();
    }
};

/// Test sets: as in training; then scenes that say nothing, at each degree of occlusion.
const std::array<const char*, 5> conditions{"in distrib.", "none", "0.25", "0.50", "0.75"};
constexpr std::size_t unoccluded = 1, half = 3, heavy = 4; // of the conditions
const std::array<const char*, classes> names{"T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "ankle boot"};

/// What one seed trains and tests on, shared by all settings: differences between settings are paired.
struct trial {
    dataset training;
    std::vector<dataset> tests;
};

trial make_trial(const garments& train, const garments& test, const configuration& c, unsigned seed) {
    std::mt19937_64 random(seed);
    const scenery scenery(random);
    std::vector<int> actors = train.actors, others = test.actors;
    std::shuffle(actors.begin(), actors.end(), random);
    std::shuffle(others.begin(), others.end(), random);
    actors.resize(static_cast<std::size_t>(c.train));
    others.resize(static_cast<std::size_t>(c.test));
    trial t{compose(train, actors, scenery, 0.9, {}, random), {}};
    t.tests.push_back(compose(test, others, scenery, 0.9, {}, random));
    for (double degree : degrees) t.tests.push_back(compose(test, others, scenery, 0, degree, random));
    for (std::size_t k = 0; k != t.tests.size(); ++k) { // one test has a counterfactual: the actor erased with the mean
        t.tests[k].black = {};
        if (k != half) t.tests[k].mean = {};
    }
    return t;
}

/// On test images: what erasing the actor takes from the label's probability, and what heavy occlusion takes from the accuracy, by class.
nlohmann::json effects_on_test(const trial& t, network& net) {
    const dataset& seen = t.tests[half];
    car::effect_accumulator effects(classes);
    effects.add(net.forward(seen.factual).logits, net.forward(seen.mean).logits, seen.labels);
    car::profile drop(classes);
    drop.add_drop(hits(net.forward(t.tests[unoccluded].factual).logits, t.tests[unoccluded].labels),
                  hits(net.forward(t.tests[heavy].factual).logits, t.tests[heavy].labels), t.tests[heavy].labels);
    nlohmann::json result{{"effect", interval(effects.result())},
                          {"macro", interval(effects.macro())},
                          {"positive", effects.result().positive},
                          {"drop", interval(drop.all())}};
    for (int k = 0; k != classes; ++k) {
        result["effect_by_class"].push_back(interval(effects.of_class(k)));
        result["drop_by_class"].push_back(interval(drop.of(k)));
    }
    return result;
}

/// Trains one network and tests it. `log` takes a line per epoch.
nlohmann::json run(const trial& t, const setting& s, const configuration& c, unsigned seed, std::ostream& log) {
    std::mt19937_64 random(seed);
    network net(c.hidden, random);
    const matrix& erased = std::string(s.fill) == "black" ? t.training.black : t.training.mean;
    std::vector<int> order(t.training.labels.size());
    std::iota(order.begin(), order.end(), 0);
    nlohmann::json epochs, tests;
    for (int epoch = 0; epoch != c.epochs; ++epoch) {
        const auto start = std::chrono::steady_clock::now();
        std::shuffle(order.begin(), order.end(), random);
        const float rate = 0.5F * c.rate * (1 + static_cast<float>(std::cos(M_PI * epoch / c.epochs)));
        car::effect_accumulator effects(classes);
        double loss = 0, cross_entropy = 0, divergence = 0, right = 0, seen = 0;
        for (std::size_t at = 0; at != order.size();) {
            const std::size_t size = std::min(static_cast<std::size_t>(c.batch), order.size() - at);
            const std::vector<int> rows(order.begin() + static_cast<std::ptrdiff_t>(at),
                                        order.begin() + static_cast<std::ptrdiff_t>(at + size));
            std::vector<int> labels;
            for (int row : rows) labels.push_back(t.training.labels[static_cast<std::size_t>(row)]);
            const step_result step = train(net, t.training.factual(rows, Eigen::all), erased(rows, Eigen::all), labels,
                                           {.alpha = s.alpha, .flow = s.flow}, rate);
            effects.add(step.p, step.c, labels);
            const auto n = static_cast<double>(size);
            loss += n * step.loss.value, cross_entropy += n * step.loss.cross_entropy, divergence += n * step.loss.divergence;
            right += n * accuracy(step.p, labels), seen += n;
            at += size;
        }
        const auto effect = effects.result();
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        char line[160];
        std::snprintf(
            line, sizeof line,
            "  epoch %2d  loss %.4f  cross-entropy %.4f  divergence %.5f  P_effect %+.4f +- %.4f  accuracy %5.2f %%  %6.0f samples/s\n",
            epoch + 1, loss / seen, cross_entropy / seen, divergence / seen, effect.mean, effect.standard_error, right / seen,
            seen / seconds);
        log << line;
        epochs.push_back({{"loss", loss / seen},
                          {"cross_entropy", cross_entropy / seen},
                          {"divergence", divergence / seen},
                          {"effect", effect.mean},
                          {"effect_standard_error", effect.standard_error},
                          {"accuracy", right / seen},
                          {"samples_per_second", seen / seconds}});
    }
    for (const dataset& d : t.tests) tests.push_back(accuracy(net.forward(d.factual).logits, d.labels));
    return {{"seed", seed},
            {"alpha", s.alpha},
            {"fill", s.alpha == 0 ? "" : s.fill},
            {"flow", s.alpha == 0                ? ""
                     : s.flow == car::flow::full ? "full"
                                                 : "stop_target"},
            {"epochs", epochs},
            {"accuracy", tests},
            {"test", effects_on_test(t, net)}};
}

/// Six actors: factual at each degree, then the counterfactuals with black and mean fill.
void write_pictures(const garments& test, const std::string& path) {
    std::mt19937_64 random(1);
    const scenery scenery(random);
    const std::vector<int> chosen(test.actors.begin(), test.actors.begin() + 6);
    std::vector<dataset> shown;
    for (double degree : degrees) shown.push_back(compose(test, chosen, scenery, 0.9, degree, random));
    const std::array<const matrix*, 6> columns{&shown[0].factual, &shown[1].factual, &shown[2].factual,
                                               &shown[3].factual, &shown[2].black,   &shown[2].mean};
    Eigen::Matrix<unsigned char, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> sheet(6 * side, 6 * side);
    for (int row = 0; row != 6; ++row)
        for (int column = 0; column != 6; ++column)
            sheet.block<side, side>(row * side, column * side) =
                (Eigen::Map<const matrix>(columns[static_cast<std::size_t>(column)]->row(row).data(), side, side) * 255)
                    .cast<unsigned char>();
    if (!stbi_write_png(path.c_str(), static_cast<int>(sheet.cols()), static_cast<int>(sheet.rows()), 1, sheet.data(), 0))
        throw std::runtime_error("cannot write " + path);
}

/// Mean and interval over seeds of every accuracy, and of its paired difference to cross-entropy only. `runs[setting][seed]`.
nlohmann::json summarise(const std::vector<setting>& settings, const std::vector<std::vector<nlohmann::json>>& runs) {
    const auto over_seeds = [&](std::size_t s, std::size_t from, std::size_t to, bool difference) {
        const auto mean = [&](const nlohmann::json& r) {
            double sum = 0;
            for (std::size_t k = from; k != to; ++k) sum += r["accuracy"][k].get<double>();
            return sum / static_cast<double>(to - from);
        };
        std::vector<double> values;
        for (std::size_t seed = 0; seed != runs[s].size(); ++seed)
            values.push_back(mean(runs[s][seed]) - (difference ? mean(runs[0][seed]) : 0));
        return interval(car::mean_effect(values));
    };
    nlohmann::json summary;
    for (std::size_t s = 0; s != settings.size(); ++s) {
        nlohmann::json row{
            {"name", settings[s].name()}, {"alpha", settings[s].alpha}, {"fill", runs[s][0]["fill"]}, {"flow", runs[s][0]["flow"]}};
        for (std::size_t k = 0; k != conditions.size(); ++k) {
            row["accuracy"].push_back(over_seeds(s, k, k + 1, false));
            row["difference"].push_back(over_seeds(s, k, k + 1, true));
        }
        row["difference_when_shuffled"] = over_seeds(s, 1, conditions.size(), true);
        summary.push_back(row);
    }
    return summary;
}

/// The paper's Table 6 in small: accuracy by condition, then the paired differences, marked where the interval excludes 0.
void print_table(const nlohmann::json& summary) {
    const auto print = [&](const char* title, const char* column, const char* format) {
        std::printf("\n%s\n%-36s", title, "");
        for (const char* condition : conditions) std::printf("%16s", condition);
        for (const auto& row : summary) {
            const bool difference = std::string(column) == "difference";
            if (difference && row["alpha"] == 0.0) continue;
            std::printf("\n%-36s", row["name"].get<std::string>().c_str());
            for (const auto& e : row[column]) {
                const double mean = e["mean"], lower = e["lower"], upper = e["upper"];
                std::printf(format, mean, upper - mean, !difference ? "" : lower > 0 ? " *" : upper < 0 ? " !" : "");
            }
        }
        std::puts("");
    };
    print("Accuracy in % (mean over seeds, 95 % interval); all but the first column with scenes shuffled, by occlusion degree", "accuracy",
          "%7.2f +-%5.2f%-2s");
    print("Paired difference to cross-entropy only (* better, ! worse: the 95 % interval excludes 0)", "difference", "%+7.2f +-%5.2f%-2s");
    std::puts("\nOver the four shuffled columns together:");
    for (const auto& row : summary) {
        if (row["alpha"] == 0.0) continue;
        const auto& e = row["difference_when_shuffled"];
        const double mean = e["mean"], lower = e["lower"], upper = e["upper"];
        std::printf("  %-36s %+6.2f (%+.2f to %+.2f): %s\n", row["name"].get<std::string>().c_str(), mean, lower, upper,
                    lower > 0   ? "helps"
                    : upper < 0 ? "hurts"
                                : "no difference shown");
    }
}

/// What a model owes to the actor, and what heavy occlusion takes, by class: cross-entropy only and another setting, of one seed.
void print_effects(const nlohmann::json& plain, const nlohmann::json& other, const std::string& name) {
    std::printf("\nBy class, on test images with shuffled scenes, first seed (95 %% intervals over images):\n"
                "P_effect, the actor erased at degree 0.50; and the drop of the accuracy from no occlusion to 0.75\n"
                "  %-12s%-64s%s\n",
                "", "cross-entropy only", name.c_str());
    const auto print = [&](const char* row, const nlohmann::json& effect, const nlohmann::json& drop, const char* end) {
        std::printf("%s %+.3f (%+.3f to %+.3f)   %+.3f (%+.3f to %+.3f)%s", row, effect["mean"].get<double>(),
                    effect["lower"].get<double>(), effect["upper"].get<double>(), drop["mean"].get<double>(), drop["lower"].get<double>(),
                    drop["upper"].get<double>(), end);
    };
    for (std::size_t k = 0; k != names.size(); ++k) {
        std::printf("  %-12s", names[k]);
        print("", plain["effect_by_class"][k], plain["drop_by_class"][k], "   ");
        print("   ", other["effect_by_class"][k], other["drop_by_class"][k], "\n");
    }
    std::printf("  %-12s", "mean");
    print("", plain["macro"], plain["drop"], "   ");
    print("   ", other["macro"], other["drop"], "\n");
    std::printf("  the effect is positive for %.1f %% of the images, and %.1f %%\n", 100 * plain["positive"].get<double>(),
                100 * other["positive"].get<double>());
}

int main(int argc, char** argv) try {
    configuration c;
    CLI::App app{"Trains a classifier with the loss of Causal Action Recognition under tracked occlusion."};
    auto* seeds = app.add_option("--seeds", c.seeds, "seeds, at least 2")->check(CLI::Range(2, 100));
    app.add_flag("--quick", c.quick, "fewer seeds and settings");
    app.add_option("--epochs", c.epochs)->check(CLI::PositiveNumber);
    app.add_option("--train", c.train, "training images")->check(CLI::Range(64, 50000));
    app.add_option("--test", c.test, "test images")->check(CLI::Range(64, 9000));
    app.add_option("--threads", c.threads)->check(CLI::PositiveNumber);
    app.add_option("--data", c.data, "folder of Fashion-MNIST's files");
    app.add_option("--output", c.output, "folder for the results");
    CLI11_PARSE(app, argc, argv);
    if (c.quick && seeds->count() == 0) c.seeds = 3;

    std::vector<setting> settings{{0, "mean", car::flow::full}};
    for (const auto flow : {car::flow::full, car::flow::stop_target})
        for (const char* fill : {"black", "mean"})
            for (double alpha : c.quick ? std::vector<double>{1} : std::vector<double>{0.5, 1, 2}) settings.push_back({alpha, fill, flow});

    std::printf("%-22s%s\n%-22s%d training, %d test, of %d classes; handbags occlude, at degrees 0, 0.25, 0.50, 0.75\n%-22sten textures, "
                "bound to the class in 90 %% of training images\n"
                "%-22s%d - %d - %d, one for both branches; momentum 0.9, rate %.3f falling to 0, batches of %d, %d epochs\n%-22s%d, %zu "
                "settings, %d threads\n",
                "data", c.data.c_str(), "images", c.train, c.test, classes, "scenes", "network", pixels, c.hidden, classes,
                static_cast<double>(c.rate), c.batch, c.epochs, "seeds", c.seeds, settings.size(), c.threads);
    std::fflush(stdout);

    const garments train(c.data, "train"), test(c.data, "t10k");
    std::vector<trial> trials(static_cast<std::size_t>(c.seeds));
    std::vector<std::vector<nlohmann::json>> runs(settings.size(), std::vector<nlohmann::json>(trials.size()));
    const auto in_parallel = [&](std::size_t jobs, auto job) { // the results do not depend on who takes which job
        std::atomic<std::size_t> next = 0;
        std::vector<std::jthread> workers;
        for (int k = 0; k != c.threads; ++k)
            workers.emplace_back([&] {
                for (std::size_t i; (i = next++) < jobs;) job(i);
            });
    };
    in_parallel(trials.size(), [&](std::size_t i) { trials[i] = make_trial(train, test, c, static_cast<unsigned>(i + 1)); });

    std::mutex printing;
    std::vector<std::string> logs(settings.size() * trials.size());
    std::size_t printed = 0;
    in_parallel(logs.size(), [&](std::size_t i) { // all settings of a seed, then the next seed; lines come out in that order
        const std::size_t seed = i / settings.size(), s = i % settings.size();
        std::ostringstream log;
        log << "run " << i + 1 << " of " << logs.size() << ": seed " << seed + 1 << ", " << settings[s].name() << '\n';
        runs[s][seed] = run(trials[seed], settings[s], c, static_cast<unsigned>(seed + 1), log);
        const std::lock_guard lock(printing);
        logs[i] = log.str();
        for (; printed != logs.size() && !logs[printed].empty(); ++printed) std::cout << logs[printed] << std::flush;
    });

    const nlohmann::json summary = summarise(settings, runs);
    print_table(summary);
    std::size_t shown = 0; // the setting with the largest gain
    for (std::size_t k = 0; k != settings.size(); ++k)
        if (summary[k]["difference_when_shuffled"]["mean"] > summary[shown]["difference_when_shuffled"]["mean"]) shown = k;
    print_effects(runs[0][0]["test"], runs[shown][0]["test"], settings[shown].name());
    std::filesystem::create_directories(c.output);
    write_pictures(test, c.output + "/pictures.png");
    std::ofstream(c.output + "/results.json") << nlohmann::json{{"configuration",
                                                                 {{"seeds", c.seeds},
                                                                  {"train", c.train},
                                                                  {"test", c.test},
                                                                  {"epochs", c.epochs},
                                                                  {"batch", c.batch},
                                                                  {"hidden", c.hidden},
                                                                  {"rate", c.rate}}},
                                                                {"conditions", conditions},
                                                                {"classes", names},
                                                                {"shown", shown},
                                                                {"summary", summary},
                                                                {"runs", runs}}
                                                     .dump(1)
                                              << '\n';
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "occlusion_demo: %s\n", error.what());
    return 1;
}
