//! Coded data → blocks → planes of samples. Upstream: libjpeg-turbo's `jdcoefct.c`.

use super::blocks::{Run, too_short};
use super::damaged;
use super::header::{Frame, Part, Reader, Scan};
use super::idct::{idct, idct_flat};
use super::smooth::{self, Known};
use crate::error::Result;
use crate::parallel;

/// The 64 coefficients of a block in natural order.
pub(super) type Block = [i16; 64];

/// One component's samples: [rows · 8, columns · 8], the picture at the upper left.
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    pub(super) stride: usize,
}

/// What the scans have brought so far.
pub(super) struct Picture {
    parts: Vec<Stored>,
}

/// What is kept of one component.
struct Stored {
    /// The steps that its first scan names.
    quant: Option<[u16; 64]>,
    /// Filled by sequential scans.
    plane: Plane,
    /// Filled by progressive scans; empty otherwise.
    blocks: Vec<Block>,
    /// Progressive: how many low bits of each coefficient, in coded order, are still to come.
    known: Known,
}

impl Picture {
    pub(super) fn new(frame: &Frame) -> Picture {
        let store = |component: &super::header::Component| {
            let n = component.columns * component.rows;
            let (n_blocks, n_samples) = if frame.progressive { (n, 0) } else { (0, n * 64) };
            Stored {
                quant: None,
                plane: Plane { samples: vec![0; n_samples], stride: component.columns * 8 },
                blocks: vec![[0; 64]; n_blocks],
                known: Known::default(),
            }
        };
        Picture { parts: frame.components.iter().map(store).collect() }
    }

    /// Decodes the scan that begins at the reader's position. Returns the length of its coded data.
    pub(super) fn decode(&mut self, frame: &Frame, scan: &Scan, reader: &Reader) -> Result<usize> {
        for part in &scan.parts {
            let stored = &mut self.parts[part.component];
            stored.quant.get_or_insert(part.quant);
            if frame.progressive {
                stored.known.note(scan);
            }
        }
        let mut coded = Coded::new(frame, scan, reader.rest());
        if frame.progressive {
            self.progressive(&mut coded)?;
        } else {
            self.sequential(&mut coded)?;
        }
        Ok(coded.at)
    }

    /// Where there are two cores, one decodes while the other transforms what was decoded before.
    fn sequential(&mut self, coded: &mut Coded) -> Result<()> {
        let (mut next, mut ready) = (Batch::default(), Batch::default());
        let per_row: usize = coded
            .scan
            .parts
            .iter()
            .map(|part| coded.grid.blocks(coded.frame, part))
            .map(|(x, y)| x * y)
            .sum();
        let rows = (BATCH / (per_row * coded.grid.columns)).max(1);
        let (frame, scan) = (coded.frame, coded.scan);
        for start in (0..coded.grid.rows).step_by(rows) {
            let grid = Grid { rows: rows.min(coded.grid.rows - start), ..coded.grid };
            let (decoded, ()) = parallel::both(
                || coded.batch(start, grid.rows, &mut next),
                || self.transform(frame, scan, &grid, &ready),
            );
            decoded?;
            std::mem::swap(&mut next, &mut ready);
        }
        self.transform(frame, scan, &coded.grid, &ready);
        Ok(())
    }

    /// Decoded blocks → samples.
    fn transform(&mut self, frame: &Frame, scan: &Scan, grid: &Grid, batch: &Batch) {
        let mut blocks = batch.blocks.iter();
        for mcu in 0.. {
            let (mx, my) = (mcu % grid.columns, batch.start + mcu / grid.columns);
            for part in &scan.parts {
                let stored = &mut self.parts[part.component];
                let quant = stored.quant.as_ref().unwrap_or(&part.quant);
                let stride = stored.plane.stride;
                let (across, down) = grid.blocks(frame, part);
                for y in 0..down {
                    for x in 0..across {
                        let Some((block, flat)) = blocks.next() else { return };
                        let samples = &mut stored.plane.samples
                            [(my * down + y) * 8 * stride + (mx * across + x) * 8..];
                        if *flat {
                            idct_flat(block[0], quant[0], samples, stride);
                        } else {
                            idct(block, quant, samples, stride);
                        }
                    }
                }
            }
        }
    }

    fn progressive(&mut self, coded: &mut Coded) -> Result<()> {
        let (frame, scan, grid) = (coded.frame, coded.scan, coded.grid);
        for mcu in 0..grid.columns * grid.rows {
            let (mx, my) = (mcu % grid.columns, mcu / grid.columns);
            let run = coded.run()?;
            for (i, part) in scan.parts.iter().enumerate() {
                let columns = frame.components[part.component].columns;
                let blocks = &mut self.parts[part.component].blocks;
                let (across, down) = grid.blocks(frame, part);
                for y in 0..down {
                    for x in 0..across {
                        let block = &mut blocks[(my * down + y) * columns + mx * across + x];
                        run.progressive_block(i, scan, part, block)?;
                    }
                }
            }
            run.check()?;
        }
        Ok(())
    }

    /// Every component's samples. Fails if a component was in no scan.
    pub(super) fn into_planes(self, frame: &Frame) -> Result<Vec<Plane>> {
        let missing = || damaged("one of its components is missing");
        if !frame.progressive {
            let all = self.parts.iter().all(|stored| stored.quant.is_some());
            return if all {
                Ok(self.parts.into_iter().map(|stored| stored.plane).collect())
            } else {
                Err(missing())
            };
        }
        let quants: Option<Vec<[u16; 64]>> = self.parts.iter().map(|stored| stored.quant).collect();
        let quants = quants.ok_or_else(missing)?;
        let rough = smooth::is_useful(self.parts.iter().map(|stored| &stored.known).zip(&quants));
        let mut planes = Vec::with_capacity(self.parts.len());
        // One component after the other, so that coefficients go as samples come.
        for ((stored, quant), component) in
            self.parts.into_iter().zip(&quants).zip(&frame.components)
        {
            let mut plane = stored.plane;
            plane.samples = vec![0; component.columns * component.rows * 64];
            let guesses = rough
                .then(|| smooth::Guesses::new(&stored.blocks, component, quant, &stored.known));
            for (i, block) in stored.blocks.iter().enumerate() {
                let at = (i / component.columns) * 8 * plane.stride + (i % component.columns) * 8;
                let guessed = guesses.as_ref().and_then(|guesses| guesses.block(i));
                let block = guessed.as_ref().unwrap_or(block);
                if block[1..].iter().all(|&value| value == 0) {
                    idct_flat(block[0], quant[0], &mut plane.samples[at..], plane.stride);
                } else {
                    idct(block, quant, &mut plane.samples[at..], plane.stride);
                }
            }
            planes.push(plane);
        }
        Ok(planes)
    }
}

/// The MCUs of a scan: whole groups of blocks where components share it, single blocks where one
/// has its own.
#[derive(Clone, Copy)]
struct Grid {
    columns: usize,
    rows: usize,
    shared: bool,
}

impl Grid {
    fn of(frame: &Frame, scan: &Scan) -> Grid {
        if let [part] = &scan.parts[..] {
            let component = &frame.components[part.component];
            return Grid {
                columns: component.width.div_ceil(8),
                rows: component.height.div_ceil(8),
                shared: false,
            };
        }
        Grid {
            columns: frame.width.div_ceil(8 * frame.most.0),
            rows: frame.height.div_ceil(8 * frame.most.1),
            shared: true,
        }
    }

    /// A component's blocks in each MCU, across and down.
    fn blocks(&self, frame: &Frame, part: &Part) -> (usize, usize) {
        let component = &frame.components[part.component];
        if self.shared { (component.across, component.down) } else { (1, 1) }
    }
}

/// Blocks that are decoded together, at least a row of MCUs: few enough to stay in a processor's
/// cache.
const BATCH: usize = 4096;

/// Decoded blocks, in the order of the scan, and whether each holds nothing but its DC value.
#[derive(Default)]
struct Batch {
    /// The first row of MCUs.
    start: usize,
    blocks: Vec<(Block, bool)>,
}

/// A scan's coded data, decoded from one restart marker to the next.
struct Coded<'a> {
    frame: &'a Frame,
    scan: &'a Scan,
    grid: Grid,
    bytes: &'a [u8],
    /// Behind what has been taken.
    at: usize,
    run: Run,
    /// MCUs that have been decoded.
    done: usize,
}

impl<'a> Coded<'a> {
    fn new(frame: &'a Frame, scan: &'a Scan, bytes: &'a [u8]) -> Coded<'a> {
        Coded {
            frame,
            scan,
            grid: Grid::of(frame, scan),
            bytes,
            at: 0,
            run: Run::new(Vec::new()),
            done: 0,
        }
    }

    /// Decodes some rows of MCUs of a sequential scan.
    fn batch(&mut self, start: usize, rows: usize, batch: &mut Batch) -> Result<()> {
        batch.start = start;
        batch.blocks.clear();
        let (frame, scan) = (self.frame, self.scan);
        let counts: Vec<usize> = scan
            .parts
            .iter()
            .map(|part| self.grid.blocks(frame, part))
            .map(|(x, y)| x * y)
            .collect();
        for _ in 0..rows * self.grid.columns {
            let run = self.run()?;
            for (i, (part, &count)) in scan.parts.iter().zip(&counts).enumerate() {
                for _ in 0..count {
                    let mut block = [0; 64];
                    let flat = run.block(i, part, &mut block)?;
                    batch.blocks.push((block, flat));
                }
            }
            run.check()?;
        }
        Ok(())
    }

    /// The decoder for the next MCU; a fresh one behind each restart marker.
    fn run(&mut self) -> Result<&mut Run> {
        let interval = self.scan.restart;
        if self.done == 0 {
            self.next_segment(None)?;
        } else if interval > 0 && self.done.is_multiple_of(interval) {
            self.next_segment(Some(self.done / interval - 1))?;
        }
        self.done += 1;
        Ok(&mut self.run)
    }

    /// The coded data without stuffing, up to the next marker; behind restart marker number `n`.
    fn next_segment(&mut self, n: Option<usize>) -> Result<()> {
        if let Some(n) = n {
            let wanted = 0xD0 + (n % 8) as u8;
            if self.bytes.get(self.at..self.at + 2) != Some(&[0xFF, wanted]) {
                return Err(damaged("a restart marker is missing"));
            }
            self.at += 2;
        }
        let mut coded = std::mem::replace(&mut self.run, Run::new(Vec::new())).into_buffer();
        coded.clear();
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let n = rest.iter().position(|&byte| byte == 0xFF).ok_or_else(too_short)?;
            coded.extend_from_slice(&rest[..n]);
            let fill = rest[n..].iter().position(|&byte| byte != 0xFF).ok_or_else(too_short)?;
            self.at += n + fill;
            if rest[n + fill] != 0 {
                // The last 0xFF and the marker's number stay.
                self.at -= 1;
                self.run = Run::new(coded);
                return Ok(());
            }
            self.at += 1;
            coded.push(0xFF);
        }
    }
}
