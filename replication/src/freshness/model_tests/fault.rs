//! Rules that the model can be played without.

/// One rule, left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// An answer counts from when it came, and not from when its question was sent.
    CountedFromTheAnswer,
    /// A key store's own age is not added to that of whoever asked it.
    AgeNotAdded,
    /// An answer counts before what it covers is active.
    CountedBeforeActive,
    /// A leader that was deposed confirms what it knows.
    ConfirmedByADeposedLeader,
    /// A frontend that starts believes the confirmation from before.
    KeptOverARestart,
    /// A change that is final on the canary is final on all.
    FinalBeforeItsCohort,
    /// A deny entry that was lifted holds on.
    LiftedEntryHolds,
    /// Any view may refuse for good, however old.
    StaleMayRefuse,
    /// A recovered half refuses for good while another may live on.
    UnfencedMayRefuse,
    /// An additive change is acknowledged as soon as it is committed.
    AcknowledgedAtOnce,
    /// Only what the leader's own machine serves is waited for.
    OnlyTheLeaderAsked,
    /// A key store reports how far it is, and not how far those are whom it answered.
    HoldersNotReported,
    /// A key store that starts takes it that it has answered nobody.
    HoldersForgottenAtAStart,
    /// A new leader takes it that nobody was answered before.
    LeaderForgetsAtAnElection,
    /// An answer covers what was confirmed, and not what the answerer has reported as active.
    AnswerCoversOnlyTheConfirmed,
    /// A clock that goes slow is not allowed for.
    NoMargin,
    /// A request that is repeated at a new leader is acknowledged at once, since its change is in the log.
    RepeatedIsAcknowledgedAtOnce,
}

impl Fault {
    pub(super) const ALL: [Self; 17] = [
        Self::CountedFromTheAnswer,
        Self::AgeNotAdded,
        Self::CountedBeforeActive,
        Self::ConfirmedByADeposedLeader,
        Self::KeptOverARestart,
        Self::FinalBeforeItsCohort,
        Self::LiftedEntryHolds,
        Self::StaleMayRefuse,
        Self::UnfencedMayRefuse,
        Self::AcknowledgedAtOnce,
        Self::OnlyTheLeaderAsked,
        Self::HoldersNotReported,
        Self::HoldersForgottenAtAStart,
        Self::LeaderForgetsAtAnElection,
        Self::AnswerCoversOnlyTheConfirmed,
        Self::NoMargin,
        Self::RepeatedIsAcknowledgedAtOnce,
    ];
}
