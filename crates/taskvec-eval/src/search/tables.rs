//! A search's outcome as tables.

use super::outcome::{Difference, Outcome, Pick};
use crate::report::Table;
use crate::report::render::{p_value, percent, points};

impl Outcome {
    /// What leaving out each group changed, and the coefficient that was found for it.
    #[must_use]
    pub fn importance_table(&self) -> Table {
        let header = [
            "group",
            "tensors",
            "change, points",
            "95 % interval",
            "adjusted p",
            "found",
        ];
        let rows = self.importance.iter().map(|row| {
            let found = self.coefficient(&row.group);
            vec![
                row.group.name.clone(),
                row.group.tensors.to_string(),
                points(row.change.value),
                interval(&row.change),
                p_value(row.p_value_adjusted),
                found.map_or_else(String::new, |value| value.text.clone()),
            ]
        });
        Table {
            header: header.map(str::to_owned).to_vec(),
            rows: rows.collect(),
        }
    }

    /// The points that were asked test questions too.
    #[must_use]
    pub fn picks_table(&self) -> Table {
        let header = [
            "point",
            "which is",
            "validation %",
            "test %",
            "95 % interval",
        ];
        let rows: [(&str, Option<&Pick>); 4] = [
            ("without", self.without.as_ref()),
            ("start", Some(&self.start)),
            ("one for all", Some(&self.uniform)),
            ("found", Some(&self.found)),
        ];
        let rows = rows.into_iter().filter_map(|(role, pick)| {
            let pick = pick?;
            let [validation, test, low, high] =
                [pick.validation, pick.test, pick.ci_low, pick.ci_high].map(percent);
            let interval = format!("{low} to {high}");
            Some(vec![
                pick.model.clone(),
                role.to_owned(),
                validation,
                test,
                interval,
            ])
        });
        Table {
            header: header.map(str::to_owned).to_vec(),
            rows: rows.collect(),
        }
    }
}

fn interval(difference: &Difference) -> String {
    let ends = [difference.ci_low, difference.ci_high].map(points);
    format!("{} to {}", ends[0], ends[1])
}
