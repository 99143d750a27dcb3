//! The colours of figures, each with its counterpart on a dark page.
//!
//! A figure is drawn once, in the light colours; the page's style sheet replaces each of them by its counterpart where
//! the reader prefers dark, so that both come from this table. All text colours have a contrast of at least 4.5 to 1.

use plotters::style::RGBColor;

/// One colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ink {
    light: (u8, u8, u8),
    dark: (u8, u8, u8),
}

const fn ink(light: u32, dark: u32) -> Ink {
    const fn parts(rgb: u32) -> (u8, u8, u8) {
        ((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
    }
    Ink {
        light: parts(light),
        dark: parts(dark),
    }
}

/// Behind everything.
pub(crate) const PAPER: Ink = ink(0xFF_FF_FF, 0x17_1B_20);
/// Text.
pub(crate) const TEXT: Ink = ink(0x1B_1F_24, 0xE7_EB_EF);
/// Text that explains other text.
pub(crate) const FAINT: Ink = ink(0x57_60_6A, 0xA3_AD_B8);
/// Lines to read values by.
pub(crate) const GRID: Ink = ink(0xDF_E3_E8, 0x2F_36_3E);
/// The line of no difference, and of the baseline.
pub(crate) const AXIS: Ink = ink(0x8B_95_A1, 0x7C_87_93);
/// A bar whose model the samples do not tell from the baseline, or the baseline itself.
pub(crate) const PLAIN: Ink = ink(0xB4_BD_C7, 0x5B_66_72);
/// Better than the baseline.
pub(crate) const HIGHER: Ink = ink(0x17_74_45, 0x58_B8_84);
/// Worse than the baseline.
pub(crate) const LOWER: Ink = ink(0xB2_46_1B, 0xE8_8A_5E);

/// Curves of one figure, told apart by these and by their marks.
pub(crate) const SERIES: [Ink; 6] = [
    ink(0x1D_64_A8, 0x6A_AE_EC),
    ink(0xB5_4F_0A, 0xF0_9A_56),
    ink(0x1A_75_50, 0x5A_BF_92),
    ink(0x7C_46_B4, 0xB9_8E_EA),
    ink(0x9E_1F_5E, 0xEB_7F_B4),
    ink(0x6A_62_0B, 0xC8_BD_4C),
];

/// Cells of a heat map, from nothing to the most there is.
pub(crate) const HEAT: [Ink; 7] = [
    ink(0xF1_F6_FB, 0x1C_25_2E),
    ink(0xD6_E6_F4, 0x1F_35_49),
    ink(0xB2_D1_EB, 0x23_49_68),
    ink(0x84_B6_DF, 0x2C_62_8C),
    ink(0x34_74_B2, 0x5F_A0_D4),
    ink(0x1F_5F_9E, 0x8F_C1_E8),
    ink(0x0E_3F_72, 0xC4_E0_F6),
];
/// Text on the first cells of [`HEAT`].
pub(crate) const ON_COOL: Ink = ink(0x14_22_30, 0xDD_EA_F5);
/// Text on the last ones, from [`HOT`].
pub(crate) const ON_HOT: Ink = ink(0xFD_FE_FF, 0x0B_16_20);
/// The first cell of [`HEAT`] that is written on in [`ON_HOT`].
pub(crate) const HOT: usize = 4;

impl Ink {
    /// The colour that figures are drawn in.
    pub(crate) fn color(self) -> RGBColor {
        RGBColor(self.light.0, self.light.1, self.light.2)
    }

    fn rule(self) -> String {
        let hex = |(r, g, b): (u8, u8, u8)| format!("#{r:02X}{g:02X}{b:02X}");
        let (light, dark) = (hex(self.light), hex(self.dark));
        format!(
            "figure svg [fill=\"{light}\"]{{fill:{dark}}}figure svg [stroke=\"{light}\"]{{stroke:{dark}}}"
        )
    }
}

/// Style rules that replace every colour by its counterpart.
pub(crate) fn dark_rules() -> String {
    let single = [
        PAPER, TEXT, FAINT, GRID, AXIS, PLAIN, HIGHER, LOWER, ON_COOL, ON_HOT,
    ];
    single
        .into_iter()
        .chain(SERIES)
        .chain(HEAT)
        .map(Ink::rule)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2, relative luminance and contrast ratio.
    fn contrast(one: (u8, u8, u8), other: (u8, u8, u8)) -> f64 {
        let luminance = |(r, g, b): (u8, u8, u8)| {
            let linear = |channel: u8| {
                let share = f64::from(channel) / 255.0;
                if share <= 0.04045 {
                    share / 12.92
                } else {
                    ((share + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
        };
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_can_be_read_in_both_modes() {
        let mut pairs = vec![
            (TEXT, PAPER),
            (FAINT, PAPER),
            (HIGHER, PAPER),
            (LOWER, PAPER),
        ];
        pairs.extend(SERIES.map(|series| (series, PAPER)));
        pairs.extend(
            HEAT.iter()
                .enumerate()
                .map(|(step, &cell)| (if step < HOT { ON_COOL } else { ON_HOT }, cell)),
        );
        for (text, behind) in pairs {
            for (text, behind) in [(text.light, behind.light), (text.dark, behind.dark)] {
                let ratio = contrast(text, behind);
                assert!(ratio >= 4.5, "{text:?} on {behind:?}: {ratio:.2}");
            }
        }
    }

    #[test]
    fn no_two_inks_share_a_light_colour() {
        // Otherwise one rule would repaint both.
        let rules = dark_rules();
        let mut seen = std::collections::BTreeSet::new();
        for selector in rules.split('}').filter_map(|rule| rule.split_once('{')) {
            assert!(seen.insert(selector.0.to_owned()), "{}", selector.0);
        }
    }
}
