//! The report: `report.json` for programs, `report.md` and `report.html` for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::peers::cases::Case;
use crate::process;

#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub machine: BTreeMap<String, String>,
    pub rows: Vec<Row>,
    /// Each round's values, by case and subject, for paired comparison.
    #[serde(default)]
    pub samples: BTreeMap<String, Vec<f64>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub case: String,
    pub subject: String,
    /// The median.
    pub value: f64,
    pub unit: String,
    pub min: f64,
    pub max: f64,
    pub rounds: usize,
    #[serde(skip)]
    values: Vec<f64>,
}

impl Row {
    pub fn new(case: &Case, subject: &str, values: Vec<f64>) -> Self {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        Self {
            case: case.name.clone(),
            subject: subject.into(),
            value: sorted[sorted.len() / 2],
            unit: case.unit.into(),
            min: sorted[0],
            max: sorted[sorted.len() - 1],
            rounds: values.len(),
            values,
        }
    }
}

impl Report {
    pub fn new() -> Result<Self> {
        let mut machine = BTreeMap::new();
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .unwrap_or("")
            .trim_start_matches(['\t', ':', ' ']);
        machine.insert("cpu".into(), model.into());
        machine.insert("cpus".into(), std::thread::available_parallelism()?.to_string());
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        machine.insert("kernel".into(), kernel.trim().into());
        let sharing = if process::may_run_in_turn() {
            "in turn (SCHED_FIFO)"
        } else {
            "as scheduled: `chrt --fifo` is refused, and the ratios jump by a tenth"
        };
        machine.insert("two on one cpu".into(), sharing.into());
        Ok(Self { machine, rows: Vec::new(), samples: BTreeMap::new() })
    }

    pub fn write(&mut self, folder: &Path, baseline: Option<&Path>) -> Result<()> {
        self.samples = self
            .rows
            .iter()
            .map(|row| (format!("{}/{}", row.case, row.subject), row.values.clone()))
            .collect();
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(self)?)?;
        let mut text = self.markdown();
        if let Some(path) = baseline {
            let json =
                std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            let comparison = self.compared_with(&serde_json::from_str(&json)?);
            print!("{comparison}");
            text.push_str(&comparison);
        }
        std::fs::write(folder.join("report.md"), &text)?;
        std::fs::write(folder.join("report.html"), self.html()?)?;
        Ok(())
    }

    fn cases(&self) -> Vec<&str> {
        let mut cases: Vec<&str> = self.rows.iter().map(|row| &*row.case).collect();
        cases.dedup();
        cases
    }

    fn rows_of<'a>(&'a self, case: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.case == case)
    }

    /// A table: each case a line, each subject a column, and ours over the best of the others.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Measured\n\n{}\n\nMedian (min..max); less is better, except in throughput.\n\n",
            self.machine_line()
        );
        for case in self.cases() {
            let ours = self.rows_of(case).find(|row| row.subject.starts_with("asyncio"));
            let _ = writeln!(text, "| {case} | value | min..max | ours over it, paired |\n|---|---|---|---|");
            for row in self.rows_of(case) {
                let ratio = ours.map_or(f64::NAN, |ours| paired(ours, row));
                let _ = writeln!(
                    text,
                    "| {} | {} {} | {}..{} | {ratio:.3} |",
                    row.subject,
                    rounded(row.value),
                    row.unit,
                    rounded(row.min),
                    rounded(row.max)
                );
            }
            text.push('\n');
        }
        text
    }

    fn machine_line(&self) -> String {
        self.machine.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
    }

    fn compared_with(&self, baseline: &Self) -> String {
        let mut text = String::from(
            "\n## Against the baseline\n\n| case | subject | before | now | now over before |\n|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let before =
                baseline.rows.iter().find(|other| other.case == row.case && other.subject == row.subject);
            if let Some(before) = before {
                let ratio = row.value / before.value;
                let (value, former) = (rounded(row.value), rounded(before.value));
                let _ =
                    writeln!(text, "| {} | {} | {former} | {value} | {ratio:.3} |", row.case, row.subject);
            }
        }
        text
    }

    fn html(&self) -> Result<String> {
        let mut text = String::from(
            "<!doctype html><meta charset=utf-8><title>asyncio for Rust, measured</title>\
             <style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
             table{border-collapse:collapse}td,th{padding:.2em .8em;border-bottom:1px solid #ccc;text-align:right}\
             td:first-child,th:first-child{text-align:left}</style><h1>Measured</h1>",
        );
        let _ = write!(
            text,
            "<p>{}</p><p>Bars are medians, with min and max; less is better, except in throughput.</p>",
            self.machine_line()
        );
        for case in self.cases() {
            let rows: Vec<&Row> = self.rows_of(case).collect();
            let _ =
                write!(text, "<h2>{case}</h2>{}<table><tr><th>subject<th>median<th>min<th>max", plot(&rows)?);
            for row in rows {
                let (value, min, max) = (rounded(row.value), rounded(row.min), rounded(row.max));
                let _ = write!(text, "<tr><td>{}<td>{value} {}<td>{min}<td>{max}", row.subject, row.unit);
            }
            text.push_str("</table>");
        }
        Ok(text)
    }
}

/// The median of the ratios round by round: what a noisy machine does to one round it does to both.
fn paired(ours: &Row, other: &Row) -> f64 {
    let mut ratios: Vec<f64> =
        ours.values.iter().zip(&other.values).map(|(ours, other)| ours / other).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

fn rounded(value: f64) -> String {
    match value {
        value if value >= 1000.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}

/// A bar for each subject, with a line from min to max.
fn plot(rows: &[&Row]) -> Result<String> {
    let mut svg = String::new();
    {
        let height = 40 + 34 * rows.len() as u32;
        let area = SVGBackend::with_string(&mut svg, (760, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let top = rows.iter().map(|row| row.max).fold(0.0, f64::max) * 1.05;
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(110)
            .build_cartesian_2d(0.0..top, (0..rows.len()).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_label_formatter(&|place| match place {
                SegmentValue::CenterOf(n) | SegmentValue::Exact(n) => {
                    rows.get(*n).map_or("", |row| &row.subject).into()
                }
                SegmentValue::Last => String::new(),
            })
            .draw()?;
        chart.draw_series(rows.iter().enumerate().map(|(n, row)| {
            let color = if row.subject.starts_with("asyncio") {
                RGBColor(43, 108, 176)
            } else {
                RGBColor(160, 174, 192)
            };
            let corners = [(0.0, SegmentValue::Exact(n)), (row.value, SegmentValue::Exact(n + 1))];
            let mut bar = Rectangle::new(corners, color.filled());
            bar.set_margin(4, 4, 0, 0);
            bar
        }))?;
        chart.draw_series(rows.iter().enumerate().map(|(n, row)| {
            let points = [(row.min, SegmentValue::CenterOf(n)), (row.max, SegmentValue::CenterOf(n))];
            PathElement::new(points, BLACK.stroke_width(2))
        }))?;
        area.present()?;
    }
    Ok(svg)
}
