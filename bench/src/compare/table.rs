//! Rows as people read them.

use super::row::Row;
use comfy_table::{CellAlignment, Table, presets};
use std::collections::BTreeSet;

/// The times and ratios: one line a row.
pub(crate) fn times(rows: &[Row]) -> Table {
    let peers: BTreeSet<&str> = rows.iter().flat_map(|row| row.peers.keys().copied()).collect();
    let mut header = vec!["scenario", "op", "profile", "octets", "threads", "rekeys/s", "kernel", "keyflip"];
    header.extend(peers.iter());
    header.extend(["Gbit/s", "x fastest", "x libsrtp", "heap", "libsrtp's"]);
    let mut table = plain(&header, 3);
    for row in rows {
        let kernel = if row.kernel_forced { format!("{} (forced)", row.kernel) } else { row.kernel.to_owned() };
        let mut cells = vec![
            row.scenario.to_owned(),
            row.op.to_owned(),
            row.profile.to_owned(),
            row.size.to_string(),
            row.threads.to_string(),
            row.rekeys_per_second.to_string(),
            kernel,
            time(Some(row.ours_ns), Some(row.ours_median_ns)),
        ];
        cells.extend(
            peers.iter().map(|peer| time(row.peers.get(peer).copied(), row.peers_median_ns.get(peer).copied())),
        );
        cells.extend([
            format!("{:.2}", row.ours_gbit_s),
            format!("{:.2}", row.ratio_fastest),
            format!("{:.2}", row.ratio_libsrtp),
            row.ours_heap_octets.map_or_else(String::new, |octets| octets.to_string()),
            row.peers_heap_octets.get("libsrtp").map_or_else(String::new, ToString::to_string),
        ]);
        table.add_row(cells);
    }
    table
}

/// What unprotect takes at worst, where it was measured.
pub(crate) fn latencies(rows: &[Row]) -> Option<Table> {
    let mut table = plain(&["profile", "rekeys/s", "", "p50 ns", "p99.9 ns", "lost ppm"], 1);
    for row in rows {
        for (name, p999) in &row.unprotect_p999_ns {
            let p50 = row.unprotect_p50_ns.get(name).copied().unwrap_or_default();
            let lost = row.unprotect_lost_ppm.get(name).copied().unwrap_or_default();
            let rate = row.rekeys_per_second.to_string();
            table.add_row([row.profile, &rate, name, &p50.to_string(), &p999.to_string(), &lost.to_string()]);
        }
    }
    (table.row_count() > 0).then_some(table)
}

/// The least of all samples, and the median.
fn time(min: Option<f64>, median: Option<f64>) -> String {
    match (min, median) {
        (Some(min), Some(median)) => format!("{min:.0} / {median:.0}"),
        _ => "-".to_owned(),
    }
}

/// An empty table; columns from `numbers` on are aligned to the right.
fn plain(header: &[&str], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(header);
    table.column_iter_mut().skip(numbers).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}
