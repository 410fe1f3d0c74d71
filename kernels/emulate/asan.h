/* Whether AddressSanitizer is compiled in: gcc and clang say it in different words. */
#ifndef MUSTER_KERNELS_EMULATE_ASAN_H
#define MUSTER_KERNELS_EMULATE_ASAN_H

#if defined(__SANITIZE_ADDRESS__)
#define MU_EMULATE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MU_EMULATE_ASAN 1
#endif
#endif

#endif
