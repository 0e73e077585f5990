// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csv.h> // libcsv, which reads what RFC 4180 and spreadsheets write

#include <charconv>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// A CSV file whose first row names its columns. Whatever is wrong with it is an error that names the file, the line and the column.
class table {
    std::string path_;
    std::vector<std::string> header_;
    std::vector<std::vector<std::string>> rows_;
    std::vector<std::size_t> lines_; // on which each row ends

    struct reading {
        table* to;
        std::vector<std::string> fields;
        std::size_t line = 0;
    };
    static void take_field(void* text, std::size_t size, void* state) {
        static_cast<reading*>(state)->fields.emplace_back(static_cast<const char*>(text), size);
    }
    static void take_row(int, void* state) { // nothing may be thrown through the parser, which is C
        auto* now = static_cast<reading*>(state);
        now->to->rows_.push_back(std::exchange(now->fields, {}));
        now->to->lines_.push_back(now->line);
    }

  public:
    explicit table(const std::string& path) : path_(path) {
        std::ifstream file(path, std::ios::binary);
        if (!file) throw std::runtime_error(path + ": cannot be read");
        csv_parser parser;
        if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) throw std::runtime_error("libcsv cannot start");
        reading now{this, {}, 0};
        std::string wrong;
        for (std::string line; wrong.empty() && std::getline(file, line);) {
            ++now.line;
            line += '\n';
            if (csv_parse(&parser, line.data(), line.size(), take_field, take_row, &now) != line.size())
                wrong = csv_strerror(csv_error(&parser));
        }
        if (wrong.empty() && csv_fini(&parser, take_field, take_row, &now) != 0) wrong = "ends inside quotes";
        csv_free(&parser);
        if (!wrong.empty()) throw std::invalid_argument(path + ":" + std::to_string(now.line) + ": " + wrong);
        if (rows_.empty()) throw std::invalid_argument(path + ": is empty, expected a first row that names the columns");
        header_ = rows_.front();
        rows_.erase(rows_.begin());
        lines_.erase(lines_.begin());
        for (std::size_t row = 0; row != size(); ++row)
            if (rows_[row].size() != header_.size())
                fail(row, "has " + std::to_string(rows_[row].size()) + " fields, expected " + std::to_string(header_.size()) +
                              " as in the first row");
    }

    std::size_t size() const { return rows_.size(); }
    const std::vector<std::string>& header() const { return header_; }

    [[noreturn]] void fail(std::size_t row, const std::string& what) const {
        throw std::invalid_argument(path_ + ":" + std::to_string(lines_[row]) + ": " + what);
    }
    std::size_t column(const std::string& name) const {
        for (std::size_t k = 0; k != header_.size(); ++k)
            if (header_[k] == name) return k;
        throw std::invalid_argument(path_ + ": has no column '" + name + "'");
    }
    const std::string& text(std::size_t row, std::size_t column) const {
        if (rows_[row][column].empty()) fail(row, "'" + header_[column] + "' is empty");
        return rows_[row][column];
    }
    double number(std::size_t row, std::size_t column, double least, double most) const {
        const std::string& field = text(row, column);
        double value = 0;
        const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
        if (error != std::errc() || end != field.data() + field.size() || !(value >= least && value <= most))
            fail(row, "'" + header_[column] + "' is '" + field + "', expected a number from " + shortest(least) + " to " + shortest(most));
        return value;
    }
    /// A column of numbers.
    std::vector<double> numbers(const std::string& name, double least, double most) const {
        std::vector<double> values;
        for (std::size_t row = 0; row != size(); ++row) values.push_back(number(row, column(name), least, most));
        return values;
    }

    /// A column of 0 and 1.
    std::vector<int> arms(const std::string& name) const {
        std::vector<int> values;
        for (std::size_t row = 0; row != size(); ++row) {
            const std::string& field = text(row, column(name));
            if (field != "0" && field != "1") fail(row, "'" + name + "' is '" + field + "', expected 0 or 1");
            values.push_back(field == "1");
        }
        return values;
    }

    /// The shortest text that is read as this number.
    static std::string shortest(double value) {
        char text[32];
        return {text, std::to_chars(text, text + sizeof text, value).ptr};
    }
};

/// One row of a CSV file; fields are quoted.
inline void write_row(std::FILE* file, const std::vector<std::string>& fields) {
    for (std::size_t k = 0; k != fields.size(); ++k) {
        if (k != 0) std::fputc(',', file);
        if (csv_fwrite(file, fields[k].data(), fields[k].size()) != 0) throw std::runtime_error("cannot write");
    }
    std::fputs("\r\n", file);
}
