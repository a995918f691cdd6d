//! What was measured: samples with a name, and how they are shown.

use std::fmt;

use serde::Serialize;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) subject: String,
    pub(crate) unit: String,
    pub(crate) target: Option<String>,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) samples: Vec<f64>,
}

/// All lines.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// Adds a line.
    pub(crate) fn add(&mut self, figure: &str, subject: &str, unit: &str, samples: &[f64]) {
        self.add_with_target(figure, subject, unit, samples, None);
    }

    /// Adds a line with a target.
    pub(crate) fn add_with_target(
        &mut self,
        figure: &str,
        subject: &str,
        unit: &str,
        samples: &[f64],
        target: Option<&str>,
    ) {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |place: Option<&f64>| place.copied().unwrap_or(f64::NAN);
        self.rows.push(Row {
            figure: figure.to_owned(),
            subject: subject.to_owned(),
            unit: unit.to_owned(),
            target: target.map(str::to_owned),
            median: median(&sorted),
            least: at(sorted.first()),
            most: at(sorted.last()),
            samples: samples.to_vec(),
        });
    }

    /// Adds the ratio of two series, sample by sample: the two of a pair were taken one after the other, so that what else the machine did
    /// meanwhile weighs on both.
    pub(crate) fn ratio(
        &mut self,
        figure: &str,
        subject: &str,
        pair: (&[f64], &[f64]),
        target: Option<&str>,
    ) {
        let ratios: Vec<f64> = pair.0.iter().zip(pair.1).map(|(one, other)| one / other).collect();
        self.add_with_target(figure, subject, "×", &ratios, target);
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
    } else {
        at(middle)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| figure | of | unit | median | least … most | n | target |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(
                f,
                "| {} | {} | {} | {} | {} … {} | {} | {} |",
                row.figure,
                row.subject,
                row.unit,
                number(row.median),
                number(row.least),
                number(row.most),
                row.samples.len(),
                row.target.as_deref().unwrap_or(""),
            )?;
        }
        Ok(())
    }
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let mut table = Table::default();
        table.add("f", "s", "u", &[3.0, 1.0, 2.0]);
        table.add("f", "s", "u", &[4.0, 1.0, 2.0, 3.0]);
        let medians: Vec<String> = table.rows.iter().map(|row| number(row.median)).collect();
        assert_eq!(medians, ["2.00", "2.50"]);
        assert!(table.rows.iter().all(|row| number(row.least) == "1.00"));
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let mut table = Table::default();
        table.ratio("f", "s", (&[1.0, 20.0], &[2.0, 10.0]), Some("≤ 1"));
        assert_eq!(table.rows[0].samples, [0.5, 2.0]);
        assert!(table.to_string().contains("| f | s | × | 1.25 | 0.500 … 2.00 | 2 | ≤ 1 |"), "{table}");
    }
}
