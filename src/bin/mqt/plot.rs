//! Accuracy and time against m, as a small SVG that needs no font, script or stylesheet of its own.

use crate::score::Summary;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// One curve: its points (m, value), what 1.0 of the height means, its colour and dashes.
struct Curve {
    points: Vec<(f64, f64)>,
    full: f64,
    style: &'static str,
}

/// Two curves over a logarithmic m: accuracy (left axis, per cent), mean time per answer (right
/// axis, milliseconds).
#[expect(clippy::too_many_lines, reason = "one element of the picture after the other")]
pub(crate) fn svg(summary: &Summary) -> String {
    let rows = &summary.budgets;
    let points = |value: &dyn Fn(&crate::score::Row) -> Option<f64>| {
        rows.iter().filter_map(|r| Some((r.m(), value(r)?))).collect()
    };
    let times: Vec<(f64, f64)> = points(&|r| r.milliseconds);
    let slowest = round_up(times.iter().map(|(_, ms)| *ms).fold(0.0, f64::max));
    let accuracy =
        Curve { points: points(&|r| r.accuracy), full: 1.0, style: "stroke=\"#1f5fbf\"" };
    let time = Curve {
        points: times,
        full: slowest,
        style: "stroke=\"#b3541e\" stroke-dasharray=\"6 4\"",
    };
    let (least, most) = (
        rows.iter().map(crate::score::Row::m).fold(f64::INFINITY, f64::min),
        rows.iter().map(crate::score::Row::m).fold(1.0, f64::max),
    );
    let x = |m: f64| {
        if most > least {
            LEFT + (m / least).ln() / (most / least).ln() * (WIDTH - LEFT - RIGHT)
        } else {
            WIDTH / 2.0
        }
    };
    let y = |share: f64| HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>Accuracy and time against image tokens</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (at, left, right) = (y(share), WIDTH - RIGHT, share * slowest);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{left}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>"
        );
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#1f5fbf\">{:.0} %</text>",
            LEFT - 8.0,
            at + 4.0,
            100.0 * share
        );
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" fill=\"#b3541e\">{right:.0} ms</text>",
            left + 8.0,
            at + 4.0
        );
    }
    for row in rows {
        let at = x(row.m());
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{:.0}</text>",
            HEIGHT - BOTTOM + 18.0,
            row.m()
        );
    }
    for Curve { points, full, style } in [accuracy, time] {
        let place = |(m, value): &(f64, f64)| (x(*m), y(value / full));
        let line: Vec<String> =
            points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke-width=\"2\" {style} points=\"{}\"/>",
            line.join(" ")
        );
        for (x, y) in points.iter().map(place) {
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"white\" {style}/>"
            );
        }
    }
    let middle = WIDTH / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">image tokens (m)</text>",
        HEIGHT - 10.0
    );
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"22\" fill=\"#1f5fbf\">exact match</text>");
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"22\" text-anchor=\"end\" fill=\"#b3541e\">time per answer</text>",
        WIDTH - RIGHT
    );
    out + "</svg>\n"
}

/// The next of 1, 2, 4, 10, 20, 40, …: a full axis whose quarters are short numbers.
fn round_up(value: f64) -> f64 {
    let mut step = 1.0;
    loop {
        for factor in [1.0, 2.0, 4.0] {
            if step * factor >= value || value.is_nan() || step > 1e12 {
                return step * factor;
            }
        }
        step *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_on_short_numbers() {
        assert_eq!(
            [0.0, 1.5, 4.0, 4.1, 33.0, 900.0].map(round_up),
            [1.0, 2.0, 4.0, 10.0, 40.0, 1000.0]
        );
        assert!(round_up(f64::INFINITY).is_finite());
    }
}
