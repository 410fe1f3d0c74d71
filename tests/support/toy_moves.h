/* Moves of kernels/collective.h among threads, as NCCL's and no kinder: a reduction or a broadcast
 * that a rank has not joined never ends; a message needs nobody but its two ends, and whether its
 * sender waits for the receiver depends on the schedule; until the end outputs hold garbage. */
#ifndef MUSTER_TESTS_TOY_MOVES_H
#define MUSTER_TESTS_TOY_MOVES_H

#include <stdlib.h>
#include <string.h>

#include "kernels/collective.h"
#include "tests/support/fake_comm.h"

enum { TOY_MOVE_GROUPS = 512, TOY_MOVES = 128 };

/* Reductions and broadcasts that are begun together, whole once everybody has joined. */
struct toy_move_group {
    int joined, count;
    uint32_t *sum[FAKE_RANKS];
};
/* On its way from place to place. */
struct toy_message {
    struct toy_message *next; /* in order of sending */
    int from, to;
    bool taken;
    uint32_t *data;
    size_t count; /* words */
};
/* What the ranks of a communicator share. */
struct toy_moves {
    struct toy_moves *next;
    char id[16];
    struct toy_move_group group[TOY_MOVE_GROUPS];
    struct toy_message *messages;
};
/* One rank's end. */
struct toy_mover {
    struct toy_moves *all;
    int place, size, next; /* next: group that it will join */
    bool under_way;
    struct mu_move list[TOY_MOVES];
    struct toy_message *message[TOY_MOVES]; /* sent, or taken */
    int count;
};

static struct {
    pthread_mutex_t lock;
    struct toy_moves *first;
} toy_moves = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void *toy_moves_zeroed(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    MU_ASSERT(memory);
    return memory;
}

static inline struct toy_mover toy_moves_open(const char *id, int place, int size)
{
    struct toy_moves *m;

    pthread_mutex_lock(&toy_moves.lock);
    for (m = toy_moves.first; m && strcmp(m->id, id) != 0;)
        m = m->next;
    if (!m) {
        m = toy_moves_zeroed(1, sizeof *m);
        memcpy(m->id, id, strnlen(id, sizeof m->id - 1));
        m->next = toy_moves.first;
        toy_moves.first = m;
    }
    pthread_mutex_unlock(&toy_moves.lock);
    return (struct toy_mover){.all = m, .place = place, .size = size};
}

static inline void toy_moves_clear(void)
{
    while (toy_moves.first) {
        struct toy_moves *m = toy_moves.first;

        toy_moves.first = m->next;
        for (int g = 0; g < TOY_MOVE_GROUPS; g++)
            for (int i = 0; i < FAKE_RANKS; i++)
                free(m->group[g].sum[i]);
        while (m->messages) {
            struct toy_message *message = m->messages;

            m->messages = message->next;
            free(message->data);
            free(message);
        }
        free(m);
    }
}

static inline bool toy_is_message(const struct mu_move *m)
{
    return m->kind == MU_SEND || m->kind == MU_RECEIVE;
}

static inline bool toy_is_received(const struct toy_mover *r, const struct mu_move *m)
{
    return m->kind == MU_RECEIVE || m->kind == MU_BROADCAST ||
           (m->kind == MU_REDUCE_INT32 && m->peer == r->place);
}

static inline void toy_send(struct toy_mover *r, int i)
{
    const struct mu_move *m = &r->list[i];
    struct toy_message **at = &r->all->messages, *message = toy_moves_zeroed(1, sizeof *message);

    *message = (struct toy_message){.from = r->place,
                                    .to = m->peer,
                                    .data = toy_moves_zeroed(m->count + 1, 4),
                                    .count = m->count};
    memcpy(message->data, m->from, 4 * m->count);
    while (*at)
        at = &(*at)->next;
    *at = r->message[i] = message;
}

static inline void toy_join(struct toy_mover *r, struct toy_move_group *g, int i)
{
    const struct mu_move *m = &r->list[i];
    const uint32_t *from = m->from;

    if (!g->sum[i])
        g->sum[i] = toy_moves_zeroed(m->count + 1, 4);
    for (size_t k = 0; k < m->count && m->kind == MU_REDUCE_INT32; k++)
        g->sum[i][k] += from[k];
    if (m->kind == MU_BROADCAST && m->peer == r->place)
        memcpy(g->sum[i], from, 4 * m->count);
}

/* All of a list are messages, or none. */
static inline void toy_moves_begin(struct toy_mover *r, const struct mu_move *list, int count)
{
    struct toy_move_group *g = &r->all->group[r->next];
    const bool messages = toy_is_message(list);

    MU_ASSERT(!r->under_way && r->next < TOY_MOVE_GROUPS && count > 0);
    MU_ASSERT(count <= (messages ? TOY_MOVES : FAKE_RANKS));
    pthread_mutex_lock(&toy_moves.lock);
    MU_ASSERT(messages || g->joined == 0 || g->count == count);
    for (int i = 0; i < count; i++) {
        MU_ASSERT(toy_is_message(&list[i]) == messages);
        r->list[i] = list[i];
        r->message[i] = NULL;
        if (!messages)
            toy_join(r, g, i);
        else if (list[i].kind == MU_SEND)
            toy_send(r, i);
        if (toy_is_received(r, &list[i]) &&
            (list[i].kind != MU_BROADCAST || list[i].peer != r->place))
            memset(list[i].to, 0x5a, 4 * list[i].count);
    }
    if (!messages) {
        g->count = count;
        g->joined++;
    }
    r->count = count;
    r->under_way = true;
    pthread_mutex_unlock(&toy_moves.lock);
}

/* The first message of that rank's which nobody has taken. */
static inline bool toy_take_message(struct toy_mover *r, int i)
{
    struct toy_message *m = r->all->messages;

    while (m && (m->taken || m->from != r->list[i].peer || m->to != r->place))
        m = m->next;
    if (!m)
        return false;
    MU_ASSERT(m->count == r->list[i].count);
    memcpy(r->list[i].to, m->data, 4 * m->count);
    m->taken = true;
    r->message[i] = m;
    return true;
}

static inline bool toy_messages_are_over(struct toy_mover *r)
{
    bool over = true;

    for (int i = 0; i < r->count; i++)
        if (r->list[i].kind == MU_RECEIVE)
            over = (r->message[i] || toy_take_message(r, i)) && over;
        else
            over = (fake.seed % 2 == 0 || r->message[i]->taken) && over;
    return over;
}

/* Whether nothing is under way any more. */
static inline bool toy_moves_poll(struct toy_mover *r)
{
    const struct toy_move_group *g = &r->all->group[r->next];
    bool messages;

    if (!r->under_way)
        return true;
    messages = toy_is_message(r->list);
    pthread_mutex_lock(&toy_moves.lock);
    r->under_way = messages ? !toy_messages_are_over(r) : g->joined < r->size;
    for (int i = 0; i < r->count && !messages && !r->under_way; i++)
        if (toy_is_received(r, &r->list[i]))
            memcpy(r->list[i].to, g->sum[i], 4 * r->list[i].count);
    r->next += !messages && !r->under_way;
    pthread_mutex_unlock(&toy_moves.lock);
    return !r->under_way;
}

#endif
