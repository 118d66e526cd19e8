/* Large products, block by block, for linear.h and gradients.h.
 *
 *     y[r][c] = sum over i < n of a[r][i] * x[i][c]
 *
 * x lies in panels of two vectors of columns: [panel][term][column of the panel]. A tile is some rows by one panel, summed in
 * registers. A block is some terms and columns of x, which stay in the second cache while all rows pass (Goto & van de Geijn,
 * Anatomy of High-Performance Matrix Multiplication, 2008). At its end the sums are stored, and the next block continues them:
 * so terms are added in the same order as without blocks.
 */
#ifndef MICROGPT_FAST_BLOCKS_H
#define MICROGPT_FAST_BLOCKS_H

#include "model.h"
#include "simd/floats.h"

#if REGISTERS == 32
#define ROWS 8
#else
#define ROWS 4
#endif
#define PANEL (2 * W)
#define AHEAD 16 /* terms: how far ahead a tile prefetches columns */

/* a[r][i] is at[r / ROWS * next + r % ROWS * across + i * along]. Rows past the last may be read up to a whole tile. */
typedef struct {
    const float *at;
    size_t next, across, along;
} Rows;

/* y[r] = (y[r] if `more`, else 0) + the sum over n terms, for `rows` rows, of which n_rows exist, and `vecs` vectors of columns,
 * of which n_columns exist. */
INLINE void tile(float *y, size_t stride, size_t n_rows, size_t n_columns, Rows a, const float *x, size_t n, int more,
                 const int rows, const int vecs) {
    vf sum[2 * ROWS][2];
    UNROLL_FOR (int r = 0; r < rows; r++)
        UNROLL_FOR (int c = 0; c < vecs; c++)
            sum[r][c] = vset1(0.0f);
    if (more)
        UNROLL_FOR (int r = 0; r < rows; r++)
            if ((size_t)r < n_rows)
                UNROLL_FOR (int c = 0; c < vecs; c++)
                    sum[r][c] = vload_some(y + r * stride + c * W, n_columns - c * W);
    const float *end = x + n * PANEL;
    /* Four terms at a time share a row's address: an operand whose address is a sum of two registers takes two operations. */
    if (vecs == 1 && a.along == 1)
        for (; end - x >= 4 * PANEL; a.at += 4, x += 4 * PANEL) {
            const float *row = a.at;
            vf xi[4];
            UNROLL_FOR (int i = 0; i < 4; i++)
                xi[i] = vload(x + i * PANEL);
            UNROLL_FOR (int r = 0; r < rows; r++) {
                UNROLL_FOR (int i = 0; i < 4; i++)
                    sum[r][0] = vfma(vset1(row[i]), xi[i], sum[r][0]);
                row = r == ROWS - 1 ? a.at + a.next : row + a.across;
            }
        }
    for (; x < end; a.at += a.along, x += PANEL) {
        vf xi[2];
        UNROLL_FOR (int c = 0; c < vecs; c++) {
            xi[c] = vload(x + c * W);
            prefetch(x + AHEAD * PANEL + c * W);
        }
        UNROLL_FOR (int r = 0; r < rows; r++)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                sum[r][c] = vfma(vset1(a.at[r / ROWS * a.next + r % ROWS * a.across]), xi[c], sum[r][c]);
    }
    UNROLL_FOR (int r = 0; r < rows; r++)
        if ((size_t)r < n_rows)
            UNROLL_FOR (int c = 0; c < vecs; c++)
                vstore_some(y + r * stride + c * W, sum[r][c], n_columns - c * W);
}

/* Not inlined: with few variables around it, the loop keeps its own in registers. */
static NOINLINE void wide_tile(float *y, size_t stride, size_t n_rows, size_t n_columns, Rows a, const float *x, size_t n,
                               int more) {
    tile(y, stride, n_rows, n_columns, a, x, n, more, ROWS, 2);
}

static NOINLINE void narrow_tile(float *y, size_t stride, size_t n_rows, size_t n_columns, Rows a, const float *x, size_t n,
                                 int more) {
    tile(y, stride, n_rows, n_columns, a, x, n, more, 2 * ROWS, 1);
}

/* The same for all rows and columns of a block; x: its first panel, n_x terms a panel. */
static void add_block(float *y, size_t stride, size_t n_rows, size_t n_columns, Rows a, const float *x, size_t n_x, size_t n,
                      int more) {
    for (size_t r = 0; r < n_rows; r += ROWS, a.at += a.next)
        for (size_t c = 0; c < n_columns; c += PANEL)
            if (n_columns - c > W)
                wide_tile(y + r * stride + c, stride, n_rows - r, n_columns - c, a, x + c * n_x, n, more);
            else if (r / ROWS % 2 == 0)
                narrow_tile(y + r * stride + c, stride, n_rows - r, n_columns - c, a, x + c * n_x, n, more);
}

/* panels: of n terms of some columns of x */
INLINE void pack_columns(float *panels, const float *x, size_t stride, size_t n_columns, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < n_columns; c += W)
            vstore(panels + c / PANEL * PANEL * n + i * PANEL + c % PANEL, vload(x + i * stride + c));
}

/* packed: [tile][term][row of the tile], from n terms of n_rows rows that are the columns of a matrix */
INLINE Rows pack_rows(float *packed, const float *matrix, size_t along, size_t n_rows, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < n_rows; r += ROWS)
            memcpy(packed + r * n + i * ROWS, matrix + i * along + r, ROWS * sizeof(float));
    return (Rows){packed, ROWS * n, 1, ROWS};
}

#endif
