/* What `muster help TOPIC` says. A topic is a file orchestrator/help/NAME.md: its first line the
 * title, after "# "; paragraphs of one line each; "## " before a heading; "- " before a point; what is indented
 * by four columns stays as it is. Into a line that is {keys}, {classes} or {codes} comes what the
 * tables of the code say, so that it cannot be otherwise there. */
#ifndef MUSTER_HELP_TOPICS_H
#define MUSTER_HELP_TOPICS_H

#include <stdio.h>

struct mu_topic {
    const char *name, *title, *text;
};

extern const struct mu_topic mu_topics[]; /* ends with a row of NULLs; made by the build */

const struct mu_topic *mu_topic_find(const char *name); /* NULL: there is none */
void mu_topic_print(FILE *out, const struct mu_topic *topic);
/* A line for each exit code. */
void mu_topic_print_codes(FILE *out);

#endif
