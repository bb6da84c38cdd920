//! Which tensor goes into which shard of a pack: known before a byte is converted, so that every
//! shard can be made by itself.

use super::Weights;
use super::layout::{Entry, Role};
use super::pack::{HEADER_BYTES, Part, Stored};
use crate::quant::{Format, PANEL, Packed};
use std::collections::BTreeMap;
use std::ops::Range;

/// A run of panels of a matrix, or a whole vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Index into the layout.
    pub entry: usize,
    /// Which part of its tensor this is.
    pub part: usize,
    /// Panels of a matrix.
    pub panels: Range<usize>,
}

/// The pack's shards and what its manifest says of the tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What each shard holds, in order.
    pub shards: Vec<Vec<Item>>,
    /// Every tensor.
    pub tensors: BTreeMap<String, Stored>,
    /// Bytes of tensors that a shard has room for.
    usable: u64,
}

impl Plan {
    /// Fills shards of at most `shard_bytes` in the layout's order; a matrix is cut between panels
    /// where a shard is full.
    pub fn new(entries: &[Entry], weights: Weights, shard_bytes: u64) -> Plan {
        let mut plan = Plan { usable: shard_bytes.saturating_sub(HEADER_BYTES), ..Plan::default() };
        let mut room = 0;
        for (index, entry) in entries.iter().enumerate() {
            let format = stored_format(entry, weights);
            let parts = plan.place(index, entry, format, &mut room);
            let Entry { name, rows, cols, .. } = entry;
            plan.tensors.insert(name.clone(), Stored { format, rows: *rows, cols: *cols, parts });
        }
        plan
    }

    fn place(&mut self, index: usize, entry: &Entry, format: Format, room: &mut u64) -> Vec<Part> {
        if is_vector(entry) {
            let bytes =
                (entry.rows * entry.cols) as u64 * if format == Format::F16 { 2 } else { 4 };
            // A vector larger than a shard has one to itself.
            if bytes > *room {
                self.begin(room);
            }
            *room = room.saturating_sub(bytes);
            self.put(Item { entry: index, part: 0, panels: 0..0 });
            return vec![Part { shard: self.shards.len() - 1, rows: entry.rows }];
        }
        let shape = Packed {
            format,
            rows: entry.rows,
            cols: entry.cols,
            data: Vec::new(),
            scales: Vec::new(),
        };
        let panel_bytes = 4 * (shape.panel_data_words() + shape.panel_scale_words()) as u64;
        let mut parts = Vec::new();
        let mut first = 0;
        while first < shape.panels() {
            if *room < panel_bytes {
                self.begin(room);
            }
            // A panel larger than a shard has one to itself.
            let panels = ((*room / panel_bytes).max(1) as usize).min(shape.panels() - first);
            *room = room.saturating_sub(panels as u64 * panel_bytes);
            self.put(Item { entry: index, part: parts.len(), panels: first..first + panels });
            parts.push(Part {
                shard: self.shards.len() - 1,
                rows: (entry.rows - first * PANEL).min(panels * PANEL),
            });
            first += panels;
        }
        parts
    }

    fn begin(&mut self, room: &mut u64) {
        self.shards.push(Vec::new());
        *room = self.usable;
    }

    fn put(&mut self, item: Item) {
        self.shards
            .last_mut()
            .expect("`begin` comes first: there is no room at the start")
            .push(item);
    }
}

/// Bytes of an item in its shard.
pub fn item_bytes(entry: &Entry, item: &Item, weights: Weights) -> u64 {
    let format = stored_format(entry, weights);
    if is_vector(entry) {
        return (entry.rows * entry.cols) as u64 * if format == Format::F16 { 2 } else { 4 };
    }
    let (data, scales) = format.words(item.panels.len() * PANEL, entry.cols);
    (data + scales) * 4
}

/// Whether an entry is stored row by row, as floats.
pub fn is_vector(entry: &Entry) -> bool {
    matches!(entry.role, Role::Vector | Role::Map)
}

fn stored_format(entry: &Entry, weights: Weights) -> Format {
    match entry.role {
        Role::Vector => Format::F32,
        role => weights.format(role),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shapes::named;
    use crate::weights::layout::layout;
    use crate::weights::pack::SHARD_BYTES;

    /// Every panel of every matrix exactly once, in order, and no shard above its size.
    #[test]
    fn everything_is_placed_once() {
        for (name, weights) in
            [("toybox", Weights::Q8), ("mqt-llava-7b", Weights::Q4), ("llava-1.5-7b", Weights::F16)]
        {
            let entries = layout(&named(name).unwrap());
            let plan = Plan::new(&entries, weights, SHARD_BYTES);
            let mut next = vec![(0, 0); entries.len()];
            for (shard, items) in plan.shards.iter().enumerate() {
                let mut bytes = 0;
                for item in items {
                    let entry = &entries[item.entry];
                    assert_eq!(
                        next[item.entry],
                        (item.part, item.panels.start),
                        "{name} {}",
                        entry.name
                    );
                    next[item.entry] = (item.part + 1, item.panels.end);
                    assert_eq!(plan.tensors[&entry.name].parts[item.part].shard, shard);
                    bytes += item_bytes(entry, item, weights);
                }
                assert!(bytes <= SHARD_BYTES, "{name}: shard {shard} has {bytes} bytes");
            }
            for (entry, (parts, panels)) in entries.iter().zip(next) {
                assert_eq!(
                    panels,
                    if is_vector(entry) { 0 } else { entry.rows.div_ceil(PANEL) },
                    "{name} {}",
                    entry.name
                );
                assert_eq!(plan.tensors[&entry.name].parts.len(), parts);
            }
        }
    }
}
