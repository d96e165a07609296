//! Each interaction to the file that performs it.

use crate::{
    Context,
    audit::Trail,
    capability,
    error::Error,
    interaction::{self, audit_event},
    operation,
    reply::Reply,
    request::Request,
};
use tessera_model::{
    AccessContext,
    interaction::{Interaction, InteractionCode},
};

/// Whether that may be asked at all. A condition is a search: it needs what a search needs.
pub(crate) fn is_permitted(access: &AccessContext, request: &Request) -> bool {
    let (code, resource_type) = request.interaction.code();
    let conditional = request.conditions.if_none_exist.is_some()
        || matches!(
            request.interaction,
            Interaction::ConditionalUpdate(_) | Interaction::ConditionalPatch(_) | Interaction::ConditionalDelete(_)
        );
    access.permits(code, resource_type) && (!conditional || access.permits(InteractionCode::SearchType, resource_type))
}

/// Performs what is asked, if it is permitted, and records it.
pub(crate) async fn perform(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    let Some(trail) = Trail::begin(context, access, &request) else { return permitted(context, access, request).await };
    let result = permitted(trail.context(), access, request).await;
    trail.end(result).await
}

async fn permitted(context: &Context, access: &AccessContext, request: Request) -> Result<Reply, Error> {
    if audit_event::is_asked(&request.interaction) {
        return audit_event::perform(context, access, request).await;
    }
    if !is_permitted(access, &request) {
        return Err(Error::Forbidden);
    }
    let _turn = context.throttle.turn(access, &request).await?;
    match &request.interaction {
        Interaction::Capabilities => {
            Ok(capability::reply(capability::statement_of_mode(context, &request.parameters).await?))
        }
        // A Bundle is interactions made of interactions: bundle.rs takes it apart and comes here with each.
        Interaction::Bundle => Err(Error::BadRequest("a Bundle within a Bundle is not performed".into())),
        Interaction::Read(_) | Interaction::VersionRead(..) => {
            interaction::read::perform(context, access, request).await
        }
        Interaction::HistoryInstance(_) | Interaction::HistoryType(_) | Interaction::HistorySystem => {
            interaction::history::perform(context, access, request).await
        }
        Interaction::SearchType(_) | Interaction::SearchCompartment(..) | Interaction::SearchSystem => {
            interaction::search::perform(context, access, request).await
        }
        Interaction::Operation(_) => operation::perform(context, access, request).await,
        Interaction::Create(_)
        | Interaction::Update(_)
        | Interaction::ConditionalUpdate(_)
        | Interaction::Patch(_)
        | Interaction::ConditionalPatch(_)
        | Interaction::Delete(_)
        | Interaction::ConditionalDelete(_) => interaction::write::perform(context, access, request).await,
    }
}
