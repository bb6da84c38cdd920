//! A plane's rows at the picture's full width. Upstream: libjpeg-turbo's `jdsample.c`, its "fancy"
//! (triangle) filters where it has them, repetition elsewhere.

use super::header::{Component, Frame};
use super::scan::Plane;

/// How one component grows to the picture's size.
pub(super) struct Upsampler<'a> {
    plane: &'a Plane,
    component: &'a Component,
    filter: Filter,
    across: usize,
    down: usize,
}

#[derive(Clone, Copy)]
enum Filter {
    /// Samples repeated, once or more.
    Repeat,
    /// Twice as wide, by a triangle.
    Across,
    /// Twice as high.
    Down,
    /// Both.
    Both,
}

impl<'a> Upsampler<'a> {
    pub(super) fn new(frame: &Frame, component: &'a Component, plane: &'a Plane) -> Upsampler<'a> {
        let (across, down) = (frame.most.0 / component.across, frame.most.1 / component.down);
        let filter = match (across, down) {
            (2, 1) if component.width > 2 => Filter::Across,
            (2, 2) if component.width > 2 => Filter::Both,
            (1, 2) => Filter::Down,
            _ => Filter::Repeat,
        };
        Upsampler { plane, component, filter, across, down }
    }

    /// Bytes of scratch that [`row`](Self::row) wants for a picture of this width.
    pub(super) fn scratch(width: usize) -> usize {
        // A triangle writes two samples for each of its own, a repetition up to four.
        width + 8
    }

    /// Row `y` of the picture, at least as wide as it: the plane's own, or made in `scratch`.
    pub(super) fn row<'b>(&'b self, y: usize, scratch: &'b mut [u8]) -> &'b [u8] {
        let own = y / self.down;
        match self.filter {
            Filter::Repeat if self.across == 1 => return self.samples(own),
            Filter::Repeat => {
                for (out, &sample) in scratch.chunks_mut(self.across).zip(self.samples(own)) {
                    out.fill(sample);
                }
            }
            Filter::Across => across(self.samples(own), scratch),
            Filter::Down => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                for ((out, &near), &far) in
                    scratch.iter_mut().zip(self.samples(own)).zip(self.neighbour(y))
                {
                    *out = ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
                }
            }
            Filter::Both => both(self.samples(own), self.neighbour(y), scratch),
        }
        scratch
    }

    fn samples(&self, row: usize) -> &[u8] {
        &self.plane.samples[row * self.plane.stride..][..self.component.width]
    }

    /// The row on the other side of `y`; at the picture's edges the same one again.
    fn neighbour(&self, y: usize) -> &[u8] {
        let own = y / 2;
        let other = if y.is_multiple_of(2) {
            own.saturating_sub(1)
        } else {
            (own + 1).min(self.component.height - 1)
        };
        self.samples(other)
    }
}

/// Each sample → two, three parts itself and one part the nearer neighbour. At least three samples.
fn across(row: &[u8], out: &mut [u8]) {
    let n = row.len();
    let wide = |i: usize| u16::from(row[i]);
    out[0] = row[0];
    out[1] = ((wide(0) * 3 + wide(1) + 2) >> 2) as u8;
    for (three, pair) in row.windows(3).zip(out[2..].chunks_exact_mut(2)) {
        let middle = u16::from(three[1]) * 3;
        pair[0] = ((middle + u16::from(three[0]) + 1) >> 2) as u8;
        pair[1] = ((middle + u16::from(three[2]) + 2) >> 2) as u8;
    }
    let last = &mut out[2 * n - 2..];
    last[0] = ((wide(n - 1) * 3 + wide(n - 2) + 1) >> 2) as u8;
    last[1] = row[n - 1];
}

/// The same in both directions; `far` is the nearer neighbour's row.
fn both(near: &[u8], far: &[u8], out: &mut [u8]) {
    /// Sums at a time, with one more on each side.
    const N: usize = 128;
    let n = near.len();
    let sum = |i: usize| u16::from(near[i]) * 3 + u16::from(far[i]);
    let mut sums = [0u16; N + 2];
    for (start, out) in (0..).step_by(N).zip(out[..2 * n].chunks_mut(2 * N)) {
        let count = out.len() / 2;
        // Beyond the edges the outermost again.
        sums[0] = sum(start.max(1) - 1);
        for (value, (&near, &far)) in
            sums[1..].iter_mut().zip(near[start..][..count].iter().zip(&far[start..]))
        {
            *value = u16::from(near) * 3 + u16::from(far);
        }
        sums[count + 1] = sum((start + count).min(n - 1));
        for (i, pair) in out.chunks_exact_mut(2).enumerate() {
            let middle = sums[i + 1] * 3;
            pair[0] = ((middle + sums[i] + 8) >> 4) as u8;
            pair[1] = ((middle + sums[i + 2] + 7) >> 4) as u8;
        }
    }
}
