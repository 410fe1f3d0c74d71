#include "orchestrator/run/tensorboard_pb.h"

#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/run/tensorboard.pb-c.h"

static size_t pack(const Tensorboard__Event *event, uint8_t out[MU_EVENT_MAX])
{
    MU_ASSERT(tensorboard__event__get_packed_size(event) <= MU_EVENT_MAX);
    return tensorboard__event__pack(event, out);
}

size_t mu_event_pack_version(double wall_s, uint8_t out[MU_EVENT_MAX])
{
    Tensorboard__Event event = TENSORBOARD__EVENT__INIT;
    char version[] = "brain.Event:2"; /* from 2 on readers heed a start */

    event.has_wall_time = 1;
    event.wall_time = wall_s;
    event.what_case = TENSORBOARD__EVENT__WHAT_FILE_VERSION;
    event.file_version = version;
    return pack(&event, out);
}

size_t mu_event_pack_start(double wall_s, int64_t step, uint8_t out[MU_EVENT_MAX])
{
    Tensorboard__Event event = TENSORBOARD__EVENT__INIT;
    Tensorboard__SessionLog start = TENSORBOARD__SESSION_LOG__INIT;

    start.has_status = 1;
    start.status = TENSORBOARD__SESSION_LOG__SESSION_STATUS__START;
    event.has_wall_time = event.has_step = 1;
    event.wall_time = wall_s;
    event.step = step;
    event.what_case = TENSORBOARD__EVENT__WHAT_SESSION_LOG;
    event.session_log = &start;
    return pack(&event, out);
}

size_t mu_event_pack_scalars(double wall_s, int64_t step, const struct mu_event_scalar *scalars,
                             size_t count, uint8_t out[MU_EVENT_MAX])
{
    Tensorboard__Event event = TENSORBOARD__EVENT__INIT;
    Tensorboard__Summary summary = TENSORBOARD__SUMMARY__INIT;
    Tensorboard__Summary__Value values[MU_EVENT_SCALARS_MAX], *pointers[MU_EVENT_SCALARS_MAX];

    MU_ASSERT(count <= MU_EVENT_SCALARS_MAX);
    for (size_t i = 0; i < count; i++) {
        tensorboard__summary__value__init(&values[i]);
        values[i].tag = (char *)scalars[i].tag; /* packing only reads it */
        values[i].has_simple_value = 1;
        values[i].simple_value = scalars[i].value;
        pointers[i] = &values[i];
    }
    summary.n_value = count;
    summary.value = pointers;
    event.has_wall_time = event.has_step = 1;
    event.wall_time = wall_s;
    event.step = step;
    event.what_case = TENSORBOARD__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return pack(&event, out);
}

const char *mu_event_library_version(void)
{
    static char text[40];

    snprintf(text, sizeof text, "protobuf-c %s", protobuf_c_version());
    return text;
}
