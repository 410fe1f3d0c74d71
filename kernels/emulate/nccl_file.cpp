#include "kernels/emulate/nccl_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/emulate/machine.h"

namespace mu_emulate
{
namespace
{
/* Sparse: only what is written takes memory. */
constexpr off_t DATA = 1 << 20, PLACE = off_t{1} << 33;
static_assert(sizeof(shared_state) <= DATA, "data lies behind");

auto &made = *new std::vector<nccl_file>;

off_t place_at(int from, int to)
{
    return DATA + (off_t{from} * (MAX_RANKS + 1) + to) * PLACE;
}

bool map(nccl_file *file)
{
    void *memory =
        mmap(nullptr, sizeof(shared_state), PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);

    file->shared = memory == MAP_FAILED ? nullptr : static_cast<shared_state *>(memory);
    return file->shared;
}

/* When a process started, in clock ticks since the machine did; 0: it is dead. */
std::uint64_t start_of(pid_t pid)
{
    char path[64], line[1024];
    std::uint64_t started = 0;
    char state;

    std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, line, sizeof line - 1);
    close(fd);
    if (n <= 0)
        return 0;
    line[n] = 0;
    const char *after_name = std::strrchr(line, ')');
    if (!after_name ||
        std::sscanf(after_name,
                    ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                    "%" SCNu64,
                    &state, &started) != 2 ||
        state == 'Z' || state == 'X')
        return 0;
    return started;
}

/* Which host this is, for GPUs that may not be named twice. */
std::uint64_t host_hash()
{
    const char *id = std::getenv("NCCL_HOSTID");
    char name[256] = {};
    std::uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

    if (!id || !*id) {
        gethostname(name, sizeof name - 1);
        id = name;
    }
    for (; *id; id++)
        hash = (hash ^ static_cast<unsigned char>(*id)) * 0x100000001b3u;
    return hash;
}

/* All of it, or death: the file is memory of ours. */
template <class F> void whole(F transfer, std::size_t bytes)
{
    for (std::size_t done = 0; done < bytes;) {
        ssize_t n = transfer(done);

        if (n <= 0 && errno != EINTR)
            die("the shared file of a communicator: %s",
                n < 0 ? std::strerror(errno) : "too short");
        done += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
}
} // namespace

int nccl_file_make(ncclUniqueId *id)
{
    nccl_file file = {memfd_create("muster-nccl", MFD_CLOEXEC), nullptr};

    if (file.fd < 0)
        return errno;
    if (ftruncate(file.fd, DATA) || !map(&file) ||
        getrandom(&file.shared->nonce, sizeof file.shared->nonce, 0) < 0) {
        int error = errno;

        nccl_file_close(&file);
        return error;
    }
    *id = {};
    std::snprintf(id->internal, sizeof id->internal, "muster-nccl %d %d %016" PRIx64, getpid(),
                  file.fd, file.shared->nonce);
    made.push_back(file);
    return 0;
}

bool nccl_file_open(nccl_file *file, const ncclUniqueId &id)
{
    int pid, fd;
    std::uint64_t nonce;
    char path[64];

    if (std::sscanf(id.internal, "muster-nccl %d %d %" SCNx64, &pid, &fd, &nonce) != 3)
        die("this is no unique id that ncclGetUniqueId made");
    std::snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    file->fd = open(path, O_RDWR | O_CLOEXEC);
    if (file->fd < 0)
        return false;
    if (map(file) && file->shared->nonce == nonce)
        return true;
    nccl_file_close(file);
    return false;
}

void nccl_file_close(nccl_file *file)
{
    if (file->shared)
        munmap(file->shared, sizeof *file->shared);
    if (file->fd >= 0)
        close(file->fd);
    *file = {-1, nullptr};
}

void nccl_file_forget_joined()
{
    for (std::size_t i = made.size(); i-- > 0;) {
        const shared_state &s = *made[i].shared;
        std::uint32_t joined = s.joined;

        for (const slot &r : s.ranks)
            if (joined > 0 && r.presence >= JOINED &&
                joined == static_cast<std::uint32_t>(r.ranks)) {
                nccl_file_close(&made[i]);
                made.erase(made.begin() + static_cast<std::ptrdiff_t>(i));
                break;
            }
    }
}

void nccl_file_forget_all()
{
    for (nccl_file &file : made)
        nccl_file_close(&file);
    made.clear();
}

void nccl_file_join(nccl_file *file, int rank, int ranks, int device)
{
    slot &mine = file->shared->ranks[rank];
    std::uint32_t absent = ABSENT;

    if (!mine.presence.compare_exchange_strong(absent, CLAIMED))
        die("two processes call themselves rank %d of one communicator, or its unique id is used "
            "again",
            rank);
    mine.pid = getpid();
    mine.ranks = ranks;
    mine.device = device;
    mine.started = start_of(mine.pid);
    mine.host = host_hash();
    mine.presence = JOINED;
    file->shared->joined++;
}

bool nccl_file_is_dead(const slot &s)
{
    return s.presence == JOINED && start_of(s.pid) != s.started;
}

void nccl_file_write(const nccl_file &file, int from, int to, const void *data, std::size_t bytes)
{
    whole(
        [&](std::size_t done) {
            return pwrite(file.fd, static_cast<const char *>(data) + done, bytes - done,
                          place_at(from, to) + static_cast<off_t>(done));
        },
        bytes);
}

void nccl_file_read(const nccl_file &file, int from, int to, std::size_t offset, void *data,
                    std::size_t bytes)
{
    whole(
        [&](std::size_t done) {
            return pread(file.fd, static_cast<char *>(data) + done, bytes - done,
                         place_at(from, to) + static_cast<off_t>(offset + done));
        },
        bytes);
}
} // namespace mu_emulate
