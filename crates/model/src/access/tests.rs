use super::*;

fn of(name: &str) -> ResourceType {
    Definitions::r4().resource_type(name).unwrap()
}

fn patient(id: &str) -> Within {
    Within::Patient(Id::parse(id).unwrap())
}

fn grant(within: Within, name: Option<&str>, permissions: &[Permission]) -> Grant {
    let permissions = Permissions::of(permissions);
    Grant { within, resource_type: name.map(of), permissions, filter: Filter::always() }
}

fn access(grants: Vec<Grant>) -> AccessContext {
    AccessContext::granted(Caller::of_client("app"), grants, false)
}

#[test]
fn core_5_what_is_not_granted_is_denied() {
    let nothing = access(Vec::new());
    for &resource_type in Definitions::r4().resource_types() {
        for permission in Permission::ALL {
            assert_eq!(nothing.visible(permission, resource_type), Visible::None, "{resource_type} {permission:?}");
        }
    }
    assert!(!nothing.administers() && !nothing.sees_everything() && !nothing.may_choose(&Id::parse("x").unwrap()));
    assert!(!nothing.permits(InteractionCode::SearchSystem, None));
}

#[test]
fn scp_3_grants_are_alternatives_and_each_letter_stands_alone() {
    let access = access(vec![
        grant(patient("a"), Some("Observation"), &[Permission::Read]),
        grant(Within::Everything, Some("Observation"), &[Permission::Search]),
    ]);
    assert!(matches!(access.visible(Permission::Read, of("Observation")), Visible::If(Filter::OfPatient(_))));
    assert_eq!(access.visible(Permission::Search, of("Observation")), Visible::All);
    assert_eq!(access.visible(Permission::Update, of("Observation")), Visible::None);
    assert_eq!(access.visible(Permission::Read, of("Condition")), Visible::None);
    for (code, permitted) in [
        (InteractionCode::Read, true),
        (InteractionCode::VersionRead, true),
        (InteractionCode::HistoryInstance, true),
        (InteractionCode::SearchType, true),
        (InteractionCode::HistoryType, true),
        (InteractionCode::Create, false),
        (InteractionCode::Update, false),
        (InteractionCode::Patch, false),
        (InteractionCode::Delete, false),
    ] {
        assert_eq!(access.permits(code, Some(of("Observation"))), permitted, "{code:?}");
    }
}

#[test]
fn cmp_2_and_3_every_type_in_a_patients_name() {
    let access = access(vec![grant(patient("a"), None, &Permission::ALL)]);
    for &resource_type in Definitions::r4().resource_types() {
        let (read, write) =
            (access.visible(Permission::Read, resource_type), access.visible(Permission::Update, resource_type));
        let as_declared = match Definitions::r4().patient_context(resource_type) {
            PatientContext::Itself | PatientContext::Member(_) => matches!(read, Visible::If(Filter::OfPatient(_))),
            PatientContext::MemberFixed(_) => {
                matches!(read, Visible::If(Filter::OfPatient(_))) && write == Visible::None
            }
            PatientContext::MemberOrShared(_) => matches!(read, Visible::If(Filter::Any(_))),
            PatientContext::Targets(_) => matches!(read, Visible::If(Filter::Every { .. })),
            PatientContext::Secured { .. } => {
                matches!((&read, &write), (Visible::If(Filter::Any(_)), Visible::If(Filter::Every { .. })))
            }
            PatientContext::Shared => read == Visible::All && write == Visible::None,
            PatientContext::Hidden => read == Visible::None && write == Visible::None,
        };
        assert!(as_declared, "{resource_type}: {read:?} {write:?}");
    }
}

#[test]
fn a_proxy_sees_the_records_of_several() {
    let access = access(vec![
        grant(patient("a"), Some("Observation"), &[Permission::Read]),
        grant(patient("b"), Some("Observation"), &[Permission::Read]),
        grant(patient("b"), Some("Observation"), &[Permission::Read]),
    ]);
    let Visible::If(Filter::Any(any)) = access.visible(Permission::Read, of("Observation")) else { panic!() };
    assert_eq!(any.len(), 2);
}

#[test]
fn the_system_level_is_grouped_by_what_is_the_same() {
    let access = access(vec![grant(patient("a"), None, &[Permission::Search])]);
    let by_type = access.visible_by_type(Permission::Search).unwrap();
    assert_eq!(by_type.len(), 4, "members, devices, provenance, shared");
    assert!(access.visible_by_type(Permission::Read).unwrap().is_empty());
    assert!(AccessContext::internal("test").visible_by_type(Permission::Read).is_none());
}
