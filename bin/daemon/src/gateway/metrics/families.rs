//! Families of metrics, each with all its samples at once.

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt::Error;

/// Names and values.
pub type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Where they are written.
pub struct Families<'a>(pub DescriptorEncoder<'a>);

/// A histogram's sum, its count, and its classes with their upper bounds, each for itself.
pub type Spread = (f64, u64, Vec<(f64, u64)>);

impl Families<'_> {
    /// A gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A gauge with them.
    pub fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        samples
            .into_iter()
            .try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// A counter without labels; its name is written with `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// A counter with labels; its name is written with `_total`.
    pub fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        samples.into_iter().try_for_each(|(labels, value)| {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    /// A histogram with labels.
    pub fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, Spread)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        samples.into_iter().try_for_each(|(labels, (sum, count, classes))| {
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &classes, None)
        })
    }
}
