//! The mean and how far it is off.

/// A mean with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n − 1 in the denominator) over √n, as the evaluation harness gives it;
    /// `None` for a single value, which says nothing about spread.
    pub standard_error: Option<f64>,
}

/// The mean of `values`; `None` where there are none.
#[must_use]
pub fn mean(values: &[f64]) -> Option<Mean> {
    let n = values.len() as f64;
    let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / n)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let standard_error = (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
    Some(Mean {
        mean,
        standard_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Deviations of 2, 4, 6, 8 from 5 have squares 9, 1, 1, 9: variance 20/3, error sqrt(20/3/4).
        let result = mean(&[2.0, 4.0, 6.0, 8.0]).unwrap();
        assert_eq!(result.mean, 5.0);
        assert!((result.standard_error.unwrap() - (5.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(
            mean(&[3.0]),
            Some(Mean {
                mean: 3.0,
                standard_error: None
            })
        );
        assert_eq!(mean(&[]), None);
    }
}
