//! Rows as drawings: throughput against streams, against rekeys a second, and against cores.

use super::row::Row;
use crate::scenario::Scenario;
use anyhow::{Context as _, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Width and height of a panel, in pixels.
const PANEL: (u32, u32) = (420, 320);

const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 90, 180),
    RGBColor(200, 60, 20),
    RGBColor(20, 140, 60),
    RGBColor(140, 60, 160),
    RGBColor(170, 130, 0),
    BLACK,
];

/// Points of one implementation: places on the x axis, Gbit/s.
type Lines = BTreeMap<String, Vec<(usize, f64)>>;

/// One set of axes.
struct Panel {
    title: String,
    lines: Lines,
}

/// A drawing: its file, what is on its x axis, and where rows stand on it.
struct Drawing {
    file: &'static str,
    x_axis: &'static str,
    /// The rows that are drawn, each with its place.
    place: fn(&Row) -> Option<usize>,
    /// What the places are called, for a row to be placed.
    names: &'static [&'static str],
}

const DRAWINGS: [Drawing; 3] = [
    Drawing {
        file: "streams.svg",
        x_axis: "streams (unprotect, one thread)",
        place: streams,
        names: &["1", "32", "64", "256"],
    },
    Drawing {
        file: "rekeys.svg",
        x_axis: "rekeys a second (sfu, one thread)",
        place: rekeys,
        names: &["0", "1000", "10000"],
    },
    Drawing { file: "cores.svg", x_axis: "cores (batch-64, unprotect)", place: cores, names: &["1", "2"] },
];

fn streams(row: &Row) -> Option<usize> {
    let scenarios = [Scenario::One, Scenario::Batch32, Scenario::Batch64, Scenario::Batch256];
    let place = scenarios.iter().position(|scenario| scenario.name() == row.scenario)?;
    (row.op == "unprotect" && row.threads == 1).then_some(place)
}

fn rekeys(row: &Row) -> Option<usize> {
    let place = [0, 1000, 10_000].iter().position(|rate| *rate == row.rekeys_per_second)?;
    (row.scenario == Scenario::Sfu.name() && row.threads == 1).then_some(place)
}

fn cores(row: &Row) -> Option<usize> {
    (row.scenario == Scenario::Batch64.name() && row.op == "unprotect").then(|| row.threads - 1)
}

/// Draws what there are rows for; returns the files written.
pub(crate) fn draw(rows: &[Row], dir: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut written = Vec::new();
    for drawing in &DRAWINGS {
        let panels = panels(rows, drawing);
        if !panels.is_empty() {
            let file = dir.join(drawing.file);
            paint(drawing, &panels, &file).map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))?;
            written.push(file.display().to_string());
        }
    }
    Ok(written)
}

/// A panel for each profile and size.
fn panels(rows: &[Row], drawing: &Drawing) -> Vec<Panel> {
    let mut panels: BTreeMap<(&str, usize), Lines> = BTreeMap::new();
    for row in rows {
        let Some(place) = (drawing.place)(row) else { continue };
        let lines = panels.entry((row.profile, row.size)).or_default();
        let ours = if row.kernel_forced { format!("keyflip, {}", row.kernel) } else { "keyflip".to_owned() };
        lines.entry(ours).or_default().push((place, row.ours_gbit_s));
        if !row.kernel_forced {
            for (peer, gbit_s) in &row.peers_gbit_s {
                lines.entry((*peer).to_owned()).or_default().push((place, *gbit_s));
            }
        }
    }
    let panel = |((profile, size), lines)| Panel { title: format!("{profile}, {size} octets"), lines };
    panels.into_iter().map(panel).collect()
}

fn paint(drawing: &Drawing, panels: &[Panel], file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let columns = panels.len().min(2);
    let lines = panels.len().div_ceil(columns);
    let size = (PANEL.0 * u32::try_from(columns)?, PANEL.1 * u32::try_from(lines)?);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE)?;
    // The same colour for the same implementation in every panel, Keyflip first.
    let mut names: Vec<&String> =
        panels.iter().flat_map(|panel| panel.lines.keys()).collect::<BTreeSet<_>>().into_iter().collect();
    names.sort_by_key(|name| !name.starts_with("keyflip"));
    for (panel, area) in panels.iter().zip(root.split_evenly((lines, columns))) {
        axes(drawing, panel, &names, &area)?;
    }
    root.present()?;
    Ok(())
}

fn axes(
    drawing: &Drawing,
    panel: &Panel,
    names: &[&String],
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    let top = panel.lines.values().flatten().map(|(_, gbit_s)| *gbit_s).fold(0.0, f64::max);
    let last = f64::from(u32::try_from(drawing.names.len())?) - 1.0;
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        // The legend has a third of the width to itself.
        .build_cartesian_2d(-0.1 * last..1.65 * last, 0.0..top * 1.15)?;
    let name = |x: &f64| {
        let place = drawing.names.iter().enumerate().find(|(place, _)| (*place as f64 - x).abs() < 0.01);
        place.map_or_else(String::new, |(_, name)| (*name).to_owned())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(drawing.x_axis)
        .y_desc("Gbit/s")
        .x_labels(4 * drawing.names.len())
        .x_label_formatter(&name)
        .draw()?;
    for (number, line) in names.iter().enumerate() {
        let Some(points) = panel.lines.get(*line) else { continue };
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<(f64, f64)> = points.iter().map(|(place, gbit_s)| (*place as f64, *gbit_s)).collect();
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(line.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scenario: Scenario, op: &'static str, threads: usize, rekeys_per_second: u32) -> Row {
        Row {
            scenario: scenario.name(),
            op,
            profile: "CM80",
            size: 160,
            threads,
            kernel: "portable",
            kernel_forced: false,
            rekeys_per_second,
            ours_ns: 100.0,
            ours_median_ns: 110.0,
            ours_gbit_s: 12.0,
            ours_heap_octets: None,
            peers: BTreeMap::from([("libsrtp", 200.0)]),
            peers_median_ns: BTreeMap::from([("libsrtp", 210.0)]),
            peers_gbit_s: BTreeMap::from([("libsrtp", 6.0)]),
            peers_heap_octets: BTreeMap::new(),
            ratio_fastest: 2.0,
            ratio_libsrtp: 2.0,
            unprotect_p999_ns: BTreeMap::new(),
            unprotect_p50_ns: BTreeMap::new(),
            unprotect_lost_ppm: BTreeMap::new(),
        }
    }

    #[test]
    fn every_drawing_that_has_rows_is_drawn_with_a_line_for_each_implementation() {
        let dir = tempfile::tempdir().unwrap();
        let rows = [
            row(Scenario::One, "unprotect", 1, 0),
            row(Scenario::Batch64, "unprotect", 1, 0),
            row(Scenario::Batch64, "unprotect", 2, 0),
            row(Scenario::Batch64, "protect", 1, 0),
        ];
        let written = draw(&rows, &dir.path().join("new")).unwrap();
        assert_eq!(written.len(), 2, "no rekeys: {written:?}");
        for file in written {
            let drawing = fs::read_to_string(file).unwrap();
            for text in ["keyflip", "libsrtp", "CM80, 160 octets", "Gbit/s"] {
                assert!(drawing.contains(text), "{text}");
            }
        }
    }

    #[test]
    fn a_row_stands_where_its_numbers_say() {
        assert_eq!(streams(&row(Scenario::Batch256, "unprotect", 1, 0)), Some(3));
        assert_eq!(streams(&row(Scenario::Batch256, "unprotect", 2, 0)), None);
        assert_eq!(rekeys(&row(Scenario::Sfu, "relay", 1, 10_000)), Some(2));
        assert_eq!(cores(&row(Scenario::Batch64, "unprotect", 2, 0)), Some(1));
    }
}
