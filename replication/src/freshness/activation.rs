//! How far a restrictive change has come, and what it is on a machine of one cohort.
//!
//! Never final on a machine before it was soft on all.

/// A group of machines that a change reaches together, in order: 0 is the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cohort(pub u8);

/// What a change does on the machines that it has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ladder {
    /// It is evaluated beside the old rule, which answers; would-be refusals are counted.
    Shadow,
    /// What it newly refuses gets "try again".
    Soft,
    /// It decides.
    Final,
}

/// How far a change has come: the ladder, and the last cohort that has climbed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Activation {
    ladder: Ladder,
    reached: Cohort,
    last: Cohort,
}

/// What a change is on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The old rule answers, and nothing is counted.
    None,
    /// The old rule answers, and what the new one would refuse is counted.
    Counted,
    /// What the new rule newly refuses gets "try again".
    Soft,
    /// The new rule answers.
    Final,
}

impl Activation {
    /// The first step of a change whose last cohort is `last`: shadow on the canary.
    pub const fn first(last: Cohort) -> Self {
        Self { ladder: Ladder::Shadow, reached: Cohort(0), last }
    }

    /// The step after this one; `None` if the new rule decides everywhere.
    pub fn next(self) -> Option<Self> {
        if self.reached < self.last {
            return Some(Self { reached: Cohort(self.reached.0 + 1), ..self });
        }
        let ladder = match self.ladder {
            Ladder::Shadow => Ladder::Soft,
            Ladder::Soft => Ladder::Final,
            Ladder::Final => return None,
        };
        Some(Self { ladder, reached: Cohort(0), ..self })
    }

    /// What the change is on a machine of that cohort. One that no cohort lists is in the last.
    pub fn effect(self, cohort: Cohort) -> Effect {
        let has_climbed = cohort.min(self.last) <= self.reached;
        match (self.ladder, has_climbed) {
            (Ladder::Shadow, false) => Effect::None,
            (Ladder::Shadow, true) | (Ladder::Soft, false) => Effect::Counted,
            (Ladder::Soft, true) | (Ladder::Final, false) => Effect::Soft,
            (Ladder::Final, true) => Effect::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_climbs_one_ladder_after_the_other_as_pinned() {
        let steps = std::iter::successors(Some(Activation::first(Cohort(2))), |step| step.next());
        let mut text = String::new();
        for step in steps {
            let effects = [0, 1, 2, 3].map(|cohort| format!("{:?}", step.effect(Cohort(cohort))));
            text.push_str(&format!("{:?} {}: {}\n", step.ladder, step.reached.0, effects.join(" ")));
        }
        assert_eq!(
            text,
            "Shadow 0: Counted None None None\n\
             Shadow 1: Counted Counted None None\n\
             Shadow 2: Counted Counted Counted Counted\n\
             Soft 0: Soft Counted Counted Counted\n\
             Soft 1: Soft Soft Counted Counted\n\
             Soft 2: Soft Soft Soft Soft\n\
             Final 0: Final Soft Soft Soft\n\
             Final 1: Final Final Soft Soft\n\
             Final 2: Final Final Final Final\n"
        );
    }
}
