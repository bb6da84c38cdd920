//! Image tokens chosen by the question, inside the decoder: SparseVLM (arXiv 2410.04417).
//!
//! After each of three layers, the tokens that the question's own tokens attend to least are
//! removed. The best of these are not lost: they are clustered, and each cluster continues as one
//! token, their mean. The kept tokens stay in order, and the means follow them.

/// The layers, counted from 0, whose output is pruned.
pub const LAYERS: [usize; 3] = [2, 6, 15];

/// The budgets there are schedules for: image tokens of 576, as a mean over layers.
pub const BUDGETS: [usize; 4] = [64, 96, 128, 192];

/// How many tokens are kept after each of [`LAYERS`]; `None` where there is no schedule.
pub fn schedule(budget: usize) -> Option<[usize; 3]> {
    match budget {
        192 => Some([300, 200, 110]),
        128 => Some([303, 110, 36]),
        96 => Some([238, 48, 26]),
        64 => Some([66, 30, 17]),
        _ => None,
    }
}

/// What one pruning decided. Tokens are counted from 0 among the image tokens that were there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pruned {
    /// How much the raters attend to each image token.
    pub scores: Vec<f32>,
    /// The tokens kept, rising.
    pub kept: Vec<u32>,
    /// The tokens merged into means, by falling score.
    pub members: Vec<u32>,
    /// The cluster of each member; a cluster is the how-manieth mean it becomes.
    pub clusters: Vec<u32>,
}

/// Which text tokens rate the image tokens: those that these resemble more than they resemble the
/// mean one. `visual` and `text` are rows of `hidden` values, as they enter the decoder.
pub fn raters(visual: &[f32], text: &[f32], hidden: usize) -> Vec<u32> {
    let words: Vec<&[f32]> = text.chunks_exact(hidden).collect();
    let rows = crate::parallel::map(visual.len() / hidden, |i| {
        let token = &visual[i * hidden..][..hidden];
        let scores: Vec<f64> = words.iter().map(|word| dot(token, word)).collect();
        let top = scores.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / total).collect::<Vec<_>>()
    });
    let mut ratings = vec![0.0; words.len()];
    for row in &rows {
        ratings.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
    }
    let mean = ratings.iter().sum::<f64>() / ratings.len().max(1) as f64;
    (0..).zip(&ratings).filter(|(_, rating)| **rating > mean).map(|(i, _)| i).collect()
}

/// Prunes image tokens `tokens` [n, hidden] with these scores to about `keep` of them: what was
/// decided, and the rows that go on. At least one goes, if there are two.
pub fn prune(scores: Vec<f32>, tokens: &[f32], keep: usize) -> (Pruned, Vec<f32>) {
    let n = scores.len();
    let hidden = tokens.len() / n.max(1);
    let keep = keep.min(n.saturating_sub(1)).max(1).min(n);
    let mut order: Vec<u32> = (0..n as u32).collect();
    // Stable: of equal scores the lower index comes first.
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    let (kept, deleted) = order.split_at(keep);
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let row = |i: u32| &tokens[i as usize * hidden..][..hidden];
    let mut rows: Vec<f32> = kept.iter().flat_map(|&i| row(i)).copied().collect();
    if deleted.is_empty() {
        return (Pruned { scores, kept, ..Pruned::default() }, rows);
    }
    let members = deleted[..deleted.len() * 3 / 10 + 1].to_vec();
    let count = members.len() / 10 + 1;
    let clusters = clustered(&members.iter().map(|&i| row(i)).collect::<Vec<_>>(), count);
    for cluster in 0..count as u32 {
        let all = || members.iter().zip(&clusters).filter(|(_, of)| **of == cluster);
        let share = 1.0 / all().count() as f64;
        let mut mean = vec![0.0f64; hidden];
        for (&member, _) in all() {
            mean.iter_mut().zip(row(member)).for_each(|(sum, v)| *sum += f64::from(*v) * share);
        }
        rows.extend(mean.iter().map(|v| *v as f32));
    }
    (Pruned { scores, kept, members, clusters }, rows)
}

/// The cluster of each row, of `count` whose centres are peaks of density (DPC-KNN): rows with many
/// near ones that are far from any denser row.
fn clustered(rows: &[&[f32]], count: usize) -> Vec<u32> {
    let n = rows.len();
    let scale = 1.0 / (rows[0].len() as f64).sqrt();
    // Each pair once, so that ties between neighbours are ties on every machine.
    let below = crate::parallel::map(n, |i| {
        (0..i).map(|j| distance(rows[i], rows[j]) * scale).collect::<Vec<_>>()
    });
    let far = |i: usize, j: usize| match i.cmp(&j) {
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => below[i][j],
        std::cmp::Ordering::Less => below[j][i],
    };
    let density = |i: usize| {
        let mut squares: Vec<f64> = (0..n).map(|j| far(i, j).powi(2)).collect();
        squares.sort_by(f64::total_cmp);
        (-squares[..count].iter().sum::<f64>() / count as f64).exp()
    };
    let densities: Vec<f64> = (0..n).map(density).collect();
    let most = below.iter().flatten().copied().fold(0.0, f64::max);
    let peak = |i: usize| {
        let denser = (0..n).filter(|&j| densities[j] > densities[i]).map(|j| far(i, j));
        densities[i] * denser.reduce(f64::min).unwrap_or(most)
    };
    let peaks: Vec<f64> = (0..n).map(peak).collect();
    let mut centres: Vec<usize> = (0..n).collect();
    centres.sort_by(|&a, &b| peaks[b].total_cmp(&peaks[a]));
    centres.truncate(count);
    let nearest = |i: usize| {
        let own = centres.iter().position(|&centre| centre == i);
        let by_distance =
            |a: &usize, b: &usize| far(i, centres[*a]).total_cmp(&far(i, centres[*b]));
        own.or_else(|| (0..count).min_by(by_distance)).unwrap_or(0) as u32
    };
    (0..n).map(nearest).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_the_picture_resembles_rate_it() {
        // Two image tokens along the first axis; the second word lies there, too.
        assert_eq!(raters(&[3., 0., 2., 0.], &[0., 1., 1., 0., -1., 0.], 2), [1]);
        assert_eq!(raters(&[1., 1.], &[0., 0., 0., 0.], 2), [0; 0]);
    }

    #[test]
    fn the_best_are_kept_in_order_and_the_next_best_become_means() {
        let scores = vec![0.1, 0.9, 0.3, 0.9, 0.2];
        let tokens = [1.0f32, 2.0, 3.0, 4.0, 5.0];
        let (pruned, rows) = prune(scores, &tokens, 3);
        assert_eq!(
            (pruned.kept, pruned.members, pruned.clusters),
            (vec![1, 2, 3], vec![4], vec![0])
        );
        assert_eq!(rows, [2.0, 3.0, 4.0, 5.0]);
        // Of equal scores the first stay; one goes even where all could stay; a lone one stays.
        assert_eq!(prune(vec![0.5; 4], &[1., 2., 3., 4.], 9).0.kept, [0, 1, 2]);
        assert_eq!(prune(vec![0.5], &[1.], 9), prune(vec![0.5], &[1.], 1));
    }

    #[test]
    fn heaps_are_clusters() {
        let offsets = [0.0, 0.1, 0.3, 0.7, 1.5];
        let at = |i: usize| [(i % 3) as f32 * 50.0 + offsets[i / 3] * (1.0 + (i % 3) as f32), 0.0];
        let at: Vec<[f32; 2]> = (0..15).map(at).collect();
        let found = clustered(&at.iter().map(|row| &row[..]).collect::<Vec<_>>(), 3);
        assert!((0..15).all(|i| found[i] == found[i % 3]), "{found:?}");
        assert!(found[0] != found[1] && found[1] != found[2] && found[0] != found[2], "{found:?}");
    }

    #[test]
    fn every_budget_has_a_falling_schedule() {
        for budget in BUDGETS {
            assert!(schedule(budget).unwrap().is_sorted_by(|a, b| a > b), "{budget}");
        }
        assert_eq!(schedule(100), None);
    }
}
