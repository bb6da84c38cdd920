//! Pillow's bicubic and Lanczos resize, bit for bit, on a canvas that is never built.
//!
//! The picture, [height, width, 3] in 8 bits, lies somewhere on a larger canvas of one colour.
//! Samples outside the picture are that colour, so their weights are summed once per output
//! position: a 20000 × 10 picture costs its own 200 000 pixels, not its square's 400 million.
//! Upstream: `ImagingResample` in `src/libImaging/Resample.c` of Pillow 13.

use std::f64::consts::PI;
use std::ops::Range;

use super::Filter;

/// Fraction bits of a weight, as in Pillow: 32 − 8 for the sample − 2 for overshoot.
const PRECISION_BITS: u32 = 22;
/// What an accumulator starts from, so that the final shift rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Where the picture lies and what is wanted of it; every pair is (horizontal, vertical).
pub(super) struct Resize {
    /// Size of the canvas.
    pub(super) canvas: (usize, usize),
    /// Position of the picture's first pixel on the canvas.
    pub(super) origin: (usize, usize),
    /// Size the whole canvas is resized to.
    pub(super) output: (usize, usize),
    /// Part of the output that is kept.
    pub(super) window: (Range<usize>, Range<usize>),
    /// Colour of the canvas outside the picture.
    pub(super) colour: [u8; 3],
    /// How samples between pixels are made.
    pub(super) filter: Filter,
}

impl Resize {
    /// The whole picture to another size, each side by its own factor.
    pub(super) fn stretch(from: (usize, usize), to: (usize, usize), filter: Filter) -> Resize {
        Resize {
            canvas: from,
            origin: (0, 0),
            output: to,
            window: (0..to.0, 0..to.1),
            colour: [0; 3],
            filter,
        }
    }

    /// Pillow's order of passes since version 13 (before, columns were always first): rows first
    /// where the height shrinks by more than twice what the width does. Never on a square canvas.
    fn rows_first(&self) -> bool {
        let shrink = |canvas: usize, output: usize| canvas as i64 - output as i64;
        let down = shrink(self.canvas.1, self.output.1);
        down > 0 && down > 2 * shrink(self.canvas.0, self.output.0)
    }
}

/// Resizes `rgb` [height, width, 3] → the window, [rows, columns, 3].
///
/// Two passes with an 8-bit picture between them, as in Pillow; the first makes only the rows that
/// the second reads.
pub(super) fn resize(rgb: &[u8], (width, height): (usize, usize), plan: &Resize) -> Vec<u8> {
    assert_eq!(rgb.len(), width * height * 3, "resize: {width} × {height} RGB");
    let along = |input, output, window, origin, extent| {
        Axis::new(plan.filter, input, output, window, origin..origin + extent)
    };
    let across = along(plan.canvas.0, plan.output.0, &plan.window.0, plan.origin.0, width);
    let down = along(plan.canvas.1, plan.output.1, &plan.window.1, plan.origin.1, height);
    let columns = plan.window.0.len();
    let bare: Vec<u8> = plan.colour.iter().copied().cycle().take(width * 3).collect();
    if plan.rows_first() {
        let short = down.blend(rgb, 0, &bare);
        across.narrow(&short, width, columns, plan.colour)
    } else {
        let needed = down.needed();
        let rows = &rgb[needed.start * width * 3..needed.end * width * 3];
        let narrow = across.narrow(rows, width, columns, plan.colour);
        // The canvas after the first pass; rounding could move it off the plain colour.
        let bare = across.narrow(&bare, width, columns, plan.colour);
        down.blend(&narrow, needed.start, &bare)
    }
}

/// One direction: what each kept output position reads.
struct Axis {
    taps: Vec<Tap>,
    weights: Vec<i32>,
}

/// One output position.
struct Tap {
    /// First sample of the picture it reads.
    first: usize,
    /// Its weights for that and the following samples, in [`Axis::weights`].
    weights: Range<usize>,
    /// Summed weight of the canvas samples outside the picture.
    outside: i32,
}

impl Axis {
    /// `input` → `output` samples, for the positions in `window`; the picture is the samples in
    /// `picture`. The arithmetic is Pillow's `precompute_coeffs` and
    /// `normalize_coeffs_8bpc`, operation by operation.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes are far below 2^31, and truncation is Pillow's rounding"
    )]
    fn new(
        filter: Filter,
        input: usize,
        output: usize,
        window: &Range<usize>,
        picture: Range<usize>,
    ) -> Axis {
        let (reach, kernel): (f64, fn(f64) -> f64) = match filter {
            Filter::Bicubic => (2.0, bicubic),
            Filter::Lanczos => (3.0, lanczos),
        };
        let scale = input as f64 / output as f64;
        let filter_scale = scale.max(1.0);
        let support = reach * filter_scale;
        let inverse = 1.0 / filter_scale;
        let mut axis = Axis { taps: Vec::with_capacity(window.len()), weights: Vec::new() };
        let mut exact = Vec::new();
        for position in window.clone() {
            let centre = (position as f64 + 0.5) * scale;
            let low = (centre - support + 0.5).max(0.0) as usize;
            let high = ((centre + support + 0.5) as usize).min(input);
            exact.clear();
            exact.extend((low..high).map(|i| kernel((i as f64 - centre + 0.5) * inverse)));
            let total: f64 = exact.iter().sum();

            let begin = axis.weights.len();
            let mut first = None;
            let mut outside = 0;
            for (sample, &weight) in (low..high).zip(&exact) {
                let weight = if total == 0.0 { weight } else { weight / total };
                let scaled = weight * f64::from(1 << PRECISION_BITS);
                let fixed = (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32;
                if picture.contains(&sample) {
                    first.get_or_insert(sample - picture.start);
                    axis.weights.push(fixed);
                } else {
                    outside += fixed;
                }
            }
            axis.taps.push(Tap {
                first: first.unwrap_or(0),
                weights: begin..axis.weights.len(),
                outside,
            });
        }
        axis
    }

    /// The picture's samples that any output position reads.
    fn needed(&self) -> Range<usize> {
        let reads = || self.taps.iter().filter(|tap| !tap.weights.is_empty());
        let start = reads().map(|tap| tap.first).min().unwrap_or(0);
        let end = reads().map(|tap| tap.first + tap.weights.len()).max().unwrap_or(0);
        start.min(end)..end
    }

    /// Across: [rows, width, 3] → [rows, columns, 3].
    fn narrow(&self, rows: &[u8], width: usize, columns: usize, colour: [u8; 3]) -> Vec<u8> {
        let mut narrow = vec![0; rows.len() / (width * 3) * columns * 3];
        for (line, out) in rows.chunks_exact(width * 3).zip(narrow.chunks_exact_mut(columns * 3)) {
            for (tap, out) in self.taps.iter().zip(out.chunks_exact_mut(3)) {
                let mut sums = colour.map(|canvas| HALF + tap.outside * i32::from(canvas));
                let pixels = line[tap.first * 3..].chunks_exact(3);
                for (&weight, pixel) in self.weights[tap.weights.clone()].iter().zip(pixels) {
                    for (sum, &sample) in sums.iter_mut().zip(pixel) {
                        *sum += weight * i32::from(sample);
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = clip(sum);
                }
            }
        }
        narrow
    }

    /// Down: rows like `bare`, the first of which is the picture's row `start` → one row a
    /// position.
    fn blend(&self, rows: &[u8], start: usize, bare: &[u8]) -> Vec<u8> {
        let line = bare.len();
        let mut blended = vec![0; self.taps.len() * line];
        let mut sums = vec![0; line];
        for (tap, out) in self.taps.iter().zip(blended.chunks_exact_mut(line)) {
            for (sum, &canvas) in sums.iter_mut().zip(bare) {
                *sum = HALF + tap.outside * i32::from(canvas);
            }
            let weights = &self.weights[tap.weights.clone()];
            // A position that reads canvas only has no first row.
            let rows = rows[tap.first.saturating_sub(start) * line..].chunks_exact(line);
            for (&weight, row) in weights.iter().zip(rows) {
                for (sum, &sample) in sums.iter_mut().zip(row) {
                    *sum += weight * i32::from(sample);
                }
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = clip(sum);
            }
        }
        blended
    }
}

/// Keys' cubic kernel with a = −0.5, factored as Pillow factors it.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// sinc(x)·sinc(x/3), in Pillow's order of operations.
fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * PI;
    x.sin() / x
}

/// Fixed point → 8 bits.
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}
