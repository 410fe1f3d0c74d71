#include "orchestrator/base/rng.h"

#include <math.h> /* sqrt only: correctly rounded everywhere */

#include "orchestrator/base/detmath.h"

struct mu_rng_words mu_rng_draw(uint64_t seed, enum mu_rng_stream stream, uint32_t a, uint64_t b)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    struct mu_rng_words x = {{(uint32_t)b, (uint32_t)(b >> 32), a, (uint32_t)stream}};

    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xD2511F53u * x.w[0], q = (uint64_t)0xCD9E8D57u * x.w[2];

        x = (struct mu_rng_words){{(uint32_t)(q >> 32) ^ x.w[1] ^ k0, (uint32_t)q,
                                   (uint32_t)(p >> 32) ^ x.w[3] ^ k1, (uint32_t)p}};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return x;
}

double mu_rng_uniform(uint32_t word)
{
    return ((double)word + 0.5) * 0x1p-32;
}

double mu_rng_normal(uint32_t word)
{
    double q = mu_rng_uniform(word) - 0.5, r, x;

    if (q >= -0.425 && q <= 0.425) {
        r = 0.180625 - q * q;
        return q *
               (((5.9109374720e+1 * r + 1.5929113202e+2) * r + 5.0434271938e+1) * r +
                3.3871327179e+0) /
               (((6.7187563600e+1 * r + 7.8757757664e+1) * r + 1.7895169469e+1) * r + 1.0);
    }
    r = sqrt(-mu_det_log(q < 0 ? q + 0.5 : 0.5 - q));
    if (r <= 5.0) {
        r -= 1.6;
        x = (((1.7023821103e-1 * r + 1.3067284816e+0) * r + 2.7568153900e+0) * r +
             1.4234372777e+0) /
            ((1.2021132975e-1 * r + 7.3700164250e-1) * r + 1.0);
    } else {
        r -= 5.0;
        x = (((1.7337203997e-2 * r + 4.2868294337e-1) * r + 3.0812263860e+0) * r +
             6.6579051150e+0) /
            ((1.2258202635e-2 * r + 2.4197894225e-1) * r + 1.0);
    }
    return q < 0 ? -x : x;
}

uint64_t mu_rng_below(uint64_t n, uint32_t high, uint32_t low)
{
    unsigned __int128 wide = (unsigned __int128)n * (((uint64_t)high << 32) | low);

    return (uint64_t)(wide >> 64);
}
