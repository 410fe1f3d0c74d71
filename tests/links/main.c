/* A program made of one layer, whole, and what lies below it: it links when the layer asks nothing
 * of those above. (Linked with --whole-archive, so that no function is left out.) */
int main(void)
{
    return 0;
}
