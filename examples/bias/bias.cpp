// SPDX-License-Identifier: Apache-2.0
// The family's losses on real images whose classes are rare or frequent and whose scenes give the class away: which of them still
// finds the class when the scene no longer tells, at the same budget?
#include "../occlusion/measure.hpp"
#include "../occlusion/network.hpp"

#include <car/family/cal.hpp>
#include <car/family/counterfactual_entropy.hpp>
#include <car/family/product_of_experts.hpp>
#include <car/family/rubi.hpp>
#include <car/softmax.hpp>

#include <CLI/CLI.hpp>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>

struct configuration {
    std::string data = "/usr/share/datasets/fashion-mnist", output = "build/bias";
    int seeds = 8, train = 4000, test = 3000, epochs = 12, batch = 64, hidden = 128;
    double imbalance = 20; // of the most frequent class to the rarest
    float rate = 0.03F;
};

/// Logits of the picture and of what is left of it without its actor, and where their gradients go.
struct batch {
    const matrix &p, &c;
    const std::vector<int>& labels;
    const std::vector<float>& log_prior; // of the classes in training
    matrix &grad_p, &grad_c;
};

/// Who says something about the erased picture: nobody, the network itself, or a biased expert with weights of its own.
enum class witness { none, itself, expert };

struct contender {
    const char* name;
    witness second;
    std::function<void(const batch&)> loss;
};

/// The expert of product_of_experts learns beside it, by its own cross-entropy: of the picture it sees what is left without the actor.
void product_of_experts(const batch& b) {
    matrix bias(b.c.rows(), b.c.cols());
    car::log_softmax(b.c, car::view(bias));
    car::product_of_experts(b.p, bias, b.labels, {}, {.grad_p = car::view(b.grad_p)});
    car::loss(b.c, {}, b.labels, {.alpha = 0}, {.grad_p = car::view(b.grad_c)});
}
/// The question of RUBi is the erased picture; its head is the expert's own logits, so that two gradients meet there.
void rubi(const batch& b) {
    matrix to_gate(b.c.rows(), b.c.cols());
    car::rubi(b.p, b.c, b.c, b.labels, {},
              {.grad_p = car::view(b.grad_p), .grad_q = car::view(to_gate), .grad_q_out = car::view(b.grad_c)});
    b.grad_c += to_gate;
}
void counterfactual_entropy(const batch& b) {
    car::loss(b.p, {}, b.labels, {.alpha = 0}, {.grad_p = car::view(b.grad_p)});
    car::counterfactual_entropy(b.c, b.labels, {.target = car::counterfactual_target::uniform}, {.grad_p = car::view(b.grad_c)});
}

const std::vector<contender> contenders{
    {"cross-entropy", witness::none, [](const batch& b) { car::loss(b.p, {}, b.labels, {.alpha = 0}, {.grad_p = car::view(b.grad_p)}); }},
    {"logit adjustment", witness::none,
     [](const batch& b) { car::logit_adjusted(b.p, b.log_prior, b.labels, {}, {.grad_p = car::view(b.grad_p)}); }},
    {"product of experts", witness::expert, product_of_experts},
    {"RUBi", witness::expert, rubi},
    {"CAL", witness::itself,
     [](const batch& b) { car::cal(b.p, b.c, b.labels, {}, {.grad_p = car::view(b.grad_p), .grad_c = car::view(b.grad_c)}); }},
    {"counterfactual entropy", witness::itself, counterfactual_entropy},
    {"CAR, alpha 1", witness::itself,
     [](const batch& b) { car::loss(b.p, b.c, b.labels, {}, {.grad_p = car::view(b.grad_p), .grad_c = car::view(b.grad_c)}); }},
};

const std::array<const char*, 4> measures{"scenes tell", "shuffled", "shuffled, frequent", "shuffled, rare"};

/// What one seed trains and tests on, the same for every contender. The k-th most frequent class is another garment in every seed.
struct trial {
    dataset training, bound, shuffled;
    std::vector<float> log_prior;
    std::vector<int> rank; // of each class, 0 the most frequent

    trial(const garments& train, const garments& test, const configuration& c, unsigned seed) : log_prior(classes), rank(classes) {
        std::mt19937_64 random(seed);
        const scenery scenery(random);
        std::vector<double> share(classes);
        for (int k = 0; k != classes; ++k) {
            rank[static_cast<std::size_t>(k)] = (k + static_cast<int>(seed)) % classes;
            share[static_cast<std::size_t>(k)] = std::pow(c.imbalance, -rank[static_cast<std::size_t>(k)] / (classes - 1.0));
        }
        const double all = std::accumulate(share.begin(), share.end(), 0.0);
        std::vector<int> actors = train.actors, others = test.actors, chosen;
        std::shuffle(actors.begin(), actors.end(), random);
        std::shuffle(others.begin(), others.end(), random);
        std::vector<double> taken(classes);
        for (const int actor : actors) {
            const auto label = static_cast<std::size_t>(train.labels[static_cast<std::size_t>(actor)]);
            if (taken[label] >= std::max(1.0, share[label] / all * c.train)) continue;
            ++taken[label];
            chosen.push_back(actor);
        }
        for (std::size_t k = 0; k != classes; ++k)
            log_prior[k] = static_cast<float>(std::log(taken[k] / static_cast<double>(chosen.size())));
        others.resize(static_cast<std::size_t>(c.test));
        training = compose(train, chosen, scenery, 0.9, 0.0, random);
        bound = compose(test, others, scenery, 0.9, 0.0, random);
        shuffled = compose(test, others, scenery, 0, 0.0, random);
    }
};

/// Accuracies of a network, in per cent, in the order of `measures`.
std::vector<double> test(const network& net, const trial& t) {
    const auto right = hits(net.forward(t.shuffled.factual).logits, t.shuffled.labels);
    std::vector<double> frequent, rare;
    for (std::size_t i = 0; i != right.size(); ++i) {
        const int rank = t.rank[static_cast<std::size_t>(t.shuffled.labels[i])];
        if (rank < 3) frequent.push_back(right[i]);
        if (rank >= classes - 3) rare.push_back(right[i]);
    }
    return {accuracy(net.forward(t.bound.factual).logits, t.bound.labels), 100 * car::mean_effect(right).mean,
            100 * car::mean_effect(frequent).mean, 100 * car::mean_effect(rare).mean};
}

std::vector<double> run(const trial& t, const contender& method, const configuration& c, unsigned seed) {
    std::mt19937_64 random(seed);
    network net(c.hidden, random), expert(c.hidden, random);
    std::vector<int> order(t.training.labels.size());
    std::iota(order.begin(), order.end(), 0);
    for (int epoch = 0; epoch != c.epochs; ++epoch) {
        std::shuffle(order.begin(), order.end(), random);
        const float rate = 0.5F * c.rate * (1 + static_cast<float>(std::cos(M_PI * epoch / c.epochs)));
        for (std::size_t at = 0; at < order.size(); at += static_cast<std::size_t>(c.batch)) {
            const std::size_t end = std::min(at + static_cast<std::size_t>(c.batch), order.size());
            const std::vector<int> rows(order.begin() + static_cast<std::ptrdiff_t>(at), order.begin() + static_cast<std::ptrdiff_t>(end));
            std::vector<int> labels;
            for (const int row : rows) labels.push_back(t.training.labels[static_cast<std::size_t>(row)]);
            network& second = method.second == witness::expert ? expert : net;
            const auto p = net.forward(t.training.factual(rows, Eigen::all));
            network::pass erased{{}, {}, matrix::Zero(p.logits.rows(), classes)};
            if (method.second != witness::none) erased = second.forward(t.training.mean(rows, Eigen::all));
            matrix grad_p(p.logits.rows(), classes), grad_c(p.logits.rows(), classes);
            method.loss({p.logits, erased.logits, labels, t.log_prior, grad_p, grad_c});
            net.backward(p, grad_p);
            if (method.second != witness::none) second.backward(erased, grad_c);
            net.step(rate);
            if (method.second == witness::expert) expert.step(rate);
        }
    }
    return test(net, t);
}

/// `accuracies[contender][measure]` are those of all seeds; the difference is to the first contender, seed by seed.
nlohmann::json summarise(const std::vector<std::vector<std::vector<double>>>& accuracies) {
    nlohmann::json summary;
    for (std::size_t m = 0; m != contenders.size(); ++m) {
        nlohmann::json row{{"name", contenders[m].name}};
        for (std::size_t k = 0; k != measures.size(); ++k) {
            std::vector<double> differences = accuracies[m][k];
            for (std::size_t seed = 0; seed != differences.size(); ++seed) differences[seed] -= accuracies[0][k][seed];
            row["accuracy"].push_back(interval(car::mean_effect(accuracies[m][k])));
            row["difference"].push_back(interval(car::mean_effect(differences)));
        }
        summary.push_back(row);
    }
    return summary;
}

void print(const nlohmann::json& summary, const char* title, const char* what) {
    std::printf("\n%s\n%-24s", title, "");
    for (const char* measure : measures) std::printf("%20s", measure);
    for (const auto& row : summary) {
        std::printf("\n%-24s", row["name"].get<std::string>().c_str());
        for (const auto& e : row[what]) {
            const double mean = e["mean"], lower = e["lower"], upper = e["upper"];
            const bool difference = std::string(what) == "difference";
            std::printf(difference ? "%+10.2f +-%5.2f%s" : "%10.2f +-%5.2f%s", mean, upper - mean,
                        !difference ? "  "
                        : lower > 0 ? " *"
                        : upper < 0 ? " !"
                                    : "  ");
        }
    }
    std::puts("");
}

int main(int argc, char** argv) try {
    configuration c;
    CLI::App app{"Losses of the family on images with rare classes and scenes that give the class away."};
    app.add_option("--seeds", c.seeds, "at least 2")->check(CLI::Range(2, 100));
    app.add_option("--epochs", c.epochs)->check(CLI::PositiveNumber);
    app.add_option("--train", c.train, "training images")->check(CLI::Range(64, 20000));
    app.add_option("--test", c.test, "test images")->check(CLI::Range(64, 9000));
    app.add_option("--imbalance", c.imbalance, "the most frequent class to the rarest")->check(CLI::Range(1.0, 100.0));
    app.add_option("--data", c.data, "folder of Fashion-MNIST's files");
    app.add_option("--output", c.output, "folder for the results");
    CLI11_PARSE(app, argc, argv);

    const garments train(c.data, "train"), other(c.data, "t10k");
    std::vector accuracies(contenders.size(), std::vector<std::vector<double>>(measures.size()));
    for (int seed = 1; seed <= c.seeds; ++seed) {
        const trial t(train, other, c, static_cast<unsigned>(seed));
        for (std::size_t m = 0; m != contenders.size(); ++m) {
            const auto result = run(t, contenders[m], c, static_cast<unsigned>(seed));
            for (std::size_t k = 0; k != measures.size(); ++k) accuracies[m][k].push_back(result[k]);
            std::printf("seed %d of %d  %-24s%6.2f %6.2f %6.2f %6.2f\n", seed, c.seeds, contenders[m].name, result[0], result[1], result[2],
                        result[3]);
            std::fflush(stdout);
        }
    }
    const nlohmann::json summary = summarise(accuracies);
    print(summary, "Accuracy in % (mean over seeds, 95 % interval), every class as frequent as the others at test", "accuracy");
    print(summary, "Paired difference to cross-entropy (* better, ! worse: the 95 % interval excludes 0)", "difference");
    std::filesystem::create_directories(c.output);
    std::ofstream(c.output + "/results.json") << nlohmann::json{{"seeds", c.seeds}, {"measures", measures}, {"summary", summary}}.dump(1)
                                              << '\n';
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "bias_demo: %s\n", error.what());
    return 1;
}
