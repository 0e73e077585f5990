// SPDX-License-Identifier: Apache-2.0
// Kernels: what nvcc's code registers, and launches.
#include "cuda_runtime.hpp"

using namespace ptx;

namespace {

/// What a program carries: PTX for several architectures, of which one is read when a kernel is first asked for.
struct fat_binary {
    const unsigned char* data;
    std::map<u32, module*> modules = {};
    std::map<u32, std::string> refused = {};
};

struct named {
    fat_binary* from;
    std::string name;
    std::map<u32, stand_in::kernel_entry> entries = {}; ///< by architecture
};
std::map<const void*, named>& kernels() {
    static std::map<const void*, named> all;
    return all;
}
std::map<const void*, named>& variables() {
    static std::map<const void*, named> all;
    return all;
}

/// The architecture of the best PTX for the device, and its text.
std::pair<u32, std::string_view> choose(const fat_binary& binary) {
    const auto capability = static_cast<u32>(10 * device().how.device.major + device().how.device.minor);
    u16 head = 0;
    u64 size = 0;
    std::memcpy(&head, binary.data + 6, sizeof head);
    std::memcpy(&size, binary.data + 8, sizeof size);
    std::pair<u32, std::string_view> best;
    for (const unsigned char *p = binary.data + head, *end = p + size; p < end;) {
        u16 type = 0;
        u32 own_head = 0, architecture = 0;
        u64 bytes = 0;
        std::memcpy(&type, p, sizeof type);
        std::memcpy(&own_head, p + 4, sizeof own_head);
        std::memcpy(&bytes, p + 8, sizeof bytes);
        std::memcpy(&architecture, p + 28, sizeof architecture);
        constexpr u16 is_ptx = 1;
        if (type == is_ptx && architecture >= best.first && architecture <= capability)
            best = {architecture, {reinterpret_cast<const char*>(p + own_head), bytes}};
        p += own_head + bytes;
    }
    return best;
}

/// The module for the device; null, and why, if there is none.
std::pair<u32, module*> module_of(fat_binary& binary) {
    auto [architecture, text] = choose(binary); // at each launch: a view of megabytes
    if (binary.modules.contains(architecture)) return {architecture, binary.modules[architecture]};
    module*& made = binary.modules[architecture];
    text = text.substr(0, text.find('\0'));
    if (text.find(".version") == text.npos) {
        binary.refused[architecture] = "the program carries no PTX for this device that can be read: code=compute_90 and --no-compress";
    } else {
        try {
            made = &device().modules.emplace_back(decode(text, device().memory));
        } catch (const unsupported& what) {
            binary.refused[architecture] = what.what();
        }
    }
    return {architecture, made};
}

stand_in::kernel_entry* entry_of(const void* f) {
    const auto found = kernels().find(f);
    if (found == kernels().end()) return nullptr;
    named& k = found->second;
    const auto [architecture, code] = module_of(*k.from);
    const auto [entry, is_new] = k.entries.try_emplace(architecture);
    if (is_new) {
        entry->second.code = code;
        if (code == nullptr)
            entry->second.missing = k.from->refused[architecture];
        else if (const auto at =
                     std::find_if(code->functions.begin(), code->functions.end(), [&](const function& g) { return g.name == k.name; });
                 at != code->functions.end())
            entry->second.entry = &*at;
        else
            entry->second.missing = k.name + " is not in the PTX";
    }
    return &entry->second;
}

cudaError_t refuse_launch(const stand_in::kernel_entry& k, cudaError_t error, const std::string& text, kind what = kind::launch) {
    instruction head;
    head.place = k.entry->place;
    device().report_fault(describe(*k.code, k.entry->name, head, what, text));
    return give(error);
}

cudaError_t start(const void* f, dim3 grid, dim3 block, void** arguments, std::size_t shared, cudaStream_t s, dim3 cluster = {1, 1, 1}) {
    stand_in::kernel_entry* const k = entry_of(f);
    if (k == nullptr || k->entry == nullptr)
        return refuse(cudaErrorInvalidDeviceFunction, kind::unsupported, "a launch", k == nullptr ? "of what is no kernel" : k->missing);
    const function& kernel = *k->entry;
    if (!kernel.refused.empty()) return refuse_launch(*k, cudaErrorNotSupported, kernel.refused, kind::unsupported);
    return in_stream(s, kernel.name.c_str(), [&](stand_in::stream_id id) {
        const std::size_t threads = extent_of(block).count(), blocks = extent_of(cluster).count();
        const auto limit = static_cast<std::size_t>(device().how.device.shared_bytes_per_block);
        if (threads == 0 || grid.x == 0 || grid.y == 0 || grid.z == 0)
            return refuse_launch(*k, cudaErrorInvalidConfiguration, "of nothing");
        if (threads > threads_of_block || block.z > 64)
            return refuse_launch(*k, cudaErrorInvalidValue, std::to_string(threads) + " threads of a block");
        if (threads > kernel.max_threads)
            return refuse_launch(*k, cudaErrorLaunchFailure,
                                 std::to_string(threads) + " threads of a block, of which __launch_bounds__ says " +
                                     std::to_string(kernel.max_threads));
        if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
            return refuse_launch(*k, cudaErrorInvalidConfiguration, "too many blocks");
        if (shared > k->dynamic_shared_limit || kernel.shared_bytes + shared > limit)
            return refuse_launch(*k, cudaErrorInvalidValue,
                                 std::to_string(shared) + " bytes of dynamic shared memory, of which " +
                                     std::to_string(k->dynamic_shared_limit) + " are allowed");
        if (blocks == 0 || grid.x % cluster.x || grid.y % cluster.y || grid.z % cluster.z ||
            blocks > (k->takes_any_cluster ? blocks_of_cluster : 8) || (blocks > 1 && device().how.device.major < 9))
            return refuse_launch(*k, cudaErrorInvalidClusterSize, "a cluster of " + std::to_string(blocks) + " blocks");
        launch call{extent_of(grid), extent_of(block), extent_of(cluster), shared, std::vector<unsigned char>(kernel.parameter_bytes)};
        for (std::size_t p = 0; p != kernel.parameters.size(); ++p)
            std::memcpy(call.parameters.data() + kernel.offsets[p], arguments[p], kernel.parameters[p].bytes);
        device().launch_kernel(id, *k, std::move(call));
        return cudaSuccess;
    });
}

struct {
    dim3 grid, block;
    std::size_t shared = 0;
    cudaStream_t stream = nullptr;
} pushed;

} // namespace

extern "C" {

// ---- what nvcc's code calls

void** __cudaRegisterFatBinary(void* wrapper) {
    struct contents {
        int magic, version;
        const unsigned char* data;
        void* more;
    };
    return reinterpret_cast<void**>(new fat_binary{static_cast<contents*>(wrapper)->data});
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void** binary, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*) {
    kernels()[host] = {reinterpret_cast<fat_binary*>(binary), name};
}
void __cudaRegisterVar(void** binary, char* host, char*, const char* name, int, size_t, int, int) {
    variables()[host] = {reinterpret_cast<fat_binary*>(binary), name};
}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t s) {
    pushed = {grid, block, shared, s};
    return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* s) {
    *grid = pushed.grid;
    *block = pushed.block;
    *shared = pushed.shared;
    *static_cast<cudaStream_t*>(s) = pushed.stream;
    return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* k, const void* f) {
    *k = reinterpret_cast<cudaKernel_t>(const_cast<void*>(f));
    return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t k, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t s) {
    return start(k, grid, block, arguments, shared, s);
}

// ---- launches

cudaError_t cudaLaunchKernel(const void* f, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t s) {
    return start(f, grid, block, arguments, shared, s);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* c, const void* f, void** arguments) {
    dim3 cluster = {1, 1, 1};
    for (unsigned k = 0; k != c->numAttrs; ++k) {
        const cudaLaunchAttribute& a = c->attrs[k];
        if (a.id == cudaLaunchAttributeClusterDimension) cluster = {a.val.clusterDim.x, a.val.clusterDim.y, a.val.clusterDim.z};
    }
    return start(f, c->gridDim, c->blockDim, arguments, c->dynamicSmemBytes, c->stream, cluster);
}
cudaError_t cudaFuncSetAttribute(const void* f, cudaFuncAttribute what, int value) {
    stand_in::kernel_entry* const k = entry_of(f);
    if (k == nullptr || k->entry == nullptr) return give(cudaErrorInvalidDeviceFunction);
    if (what == cudaFuncAttributeMaxDynamicSharedMemorySize) {
        if (value < 0 ||
            k->entry->shared_bytes + static_cast<std::size_t>(value) > static_cast<std::size_t>(device().how.device.shared_bytes_per_block))
            return give(cudaErrorInvalidValue);
        k->dynamic_shared_limit = static_cast<std::size_t>(value);
    }
    if (what == cudaFuncAttributeNonPortableClusterSizeAllowed) k->takes_any_cluster = value != 0;
    return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, const void* f) {
    const stand_in::kernel_entry* const k = entry_of(f);
    if (k == nullptr || k->entry == nullptr) return give(cudaErrorInvalidDeviceFunction);
    *a = {};
    a->sharedSizeBytes = k->entry->shared_bytes;
    a->maxThreadsPerBlock = static_cast<int>(k->entry->max_threads);
    a->maxDynamicSharedSizeBytes = static_cast<int>(k->dynamic_shared_limit);
    return cudaSuccess;
}
/// By threads and shared memory alone: registers are ptxas's affair.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* f, int threads, size_t shared) {
    const stand_in::kernel_entry* const k = entry_of(f);
    if (k == nullptr || k->entry == nullptr) return give(cudaErrorInvalidDeviceFunction);
    const std::size_t used = k->entry->shared_bytes + shared + 1024,
                      has = static_cast<std::size_t>(device().how.device.shared_bytes_per_block) + 1024;
    *blocks = threads <= 0 || threads > 1024
                  ? 0
                  : static_cast<int>(std::min<std::size_t>({2048u / static_cast<unsigned>(threads), has / used, 32}));
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* f, int threads, size_t shared, unsigned) {
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, f, threads, shared);
}
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* f, const cudaLaunchConfig_t* c) {
    std::size_t size = 1;
    for (unsigned k = 0; k != c->numAttrs; ++k)
        if (const auto& a = c->attrs[k]; a.id == cudaLaunchAttributeClusterDimension)
            size = std::size_t{a.val.clusterDim.x} * a.val.clusterDim.y * a.val.clusterDim.z;
    int blocks = 0;
    const cudaError_t error =
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, static_cast<int>(extent_of(c->blockDim).count()), c->dynamicSmemBytes);
    *clusters = static_cast<int>(static_cast<std::size_t>(blocks) * static_cast<std::size_t>(device().how.device.multiprocessors) / size);
    return error;
}

cudaError_t cudaGetSymbolAddress(void** p, const void* symbol) {
    const auto found = variables().find(symbol);
    if (found == variables().end()) return give(cudaErrorInvalidSymbol);
    const module* const code = module_of(*found->second.from).second;
    if (code == nullptr || !code->variables.contains(found->second.name)) return give(cudaErrorInvalidSymbol);
    *p = reinterpret_cast<void*>(code->variables.at(found->second.name));
    return cudaSuccess;
}

} // extern "C"
