//! What a machine answers: records to make durable, then effects to perform, in this order.

use crate::record::Record;

/// The outcome of one turn.
///
/// The shell makes the records durable in one group and only then performs the effects, those of all earlier
/// turns before them. A crash between the two does no harm: recovery derives the effects again.
#[derive(Debug)]
#[must_use = "records that are not stored and effects that are not performed are lost"]
pub struct Decision<Effect> {
    /// What must be durable first.
    pub records: Vec<Record>,
    /// What is done then.
    pub effects: Vec<Effect>,
    /// The machine has work left that this turn had no room for: it wants to be called again as soon as another turn
    /// may be decided, whatever its next deadline is.
    pub more: bool,
}

impl<Effect> Default for Decision<Effect> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            effects: Vec::new(),
            more: false,
        }
    }
}

impl<Effect> Decision<Effect> {
    /// Whether nothing is to be stored or done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.effects.is_empty()
    }

    /// Takes over what `later` decided, after what is here.
    pub fn extend(&mut self, later: Self) {
        self.records.extend(later.records);
        self.effects.extend(later.effects);
        self.more = later.more;
    }
}
