import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.PerformanceOptionsEnum;
import ca.uhn.fhir.parser.StrictErrorHandler;
import ca.uhn.fhir.rest.api.CacheControlDirective;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.api.PreferReturnEnum;
import ca.uhn.fhir.rest.api.SearchStyleEnum;
import ca.uhn.fhir.rest.api.SearchTotalModeEnum;
import ca.uhn.fhir.rest.api.SortOrderEnum;
import ca.uhn.fhir.rest.api.SortSpec;
import ca.uhn.fhir.rest.api.SummaryEnum;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.client.api.ServerValidationModeEnum;
import ca.uhn.fhir.rest.server.exceptions.BaseServerResponseException;
import ca.uhn.fhir.rest.server.exceptions.InvalidRequestException;
import ca.uhn.fhir.rest.server.exceptions.PreconditionFailedException;
import ca.uhn.fhir.rest.server.exceptions.ResourceGoneException;
import ca.uhn.fhir.rest.server.exceptions.ResourceNotFoundException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.CapabilityStatement;
import org.hl7.fhir.r4.model.CodeType;
import org.hl7.fhir.r4.model.DateTimeType;
import org.hl7.fhir.r4.model.DateType;
import org.hl7.fhir.r4.model.Encounter;
import org.hl7.fhir.r4.model.Enumerations;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.Observation;
import org.hl7.fhir.r4.model.OperationOutcome;
import org.hl7.fhir.r4.model.Parameters;
import org.hl7.fhir.r4.model.Patient;
import org.hl7.fhir.r4.model.Quantity;
import org.hl7.fhir.r4.model.StringType;

/** The client of HAPI FHIR, in JSON and in XML, parsing strictly. */
public class HapiClient {
    static final String SYSTEM = "https://tessera.example/clients";

    final IGenericClient client;
    final Checks checks;
    /** In the identifiers of this run. */
    final String run = UUID.randomUUID().toString();

    /** What the CapabilityStatement says. */
    final Set<String> patchFormats = new HashSet<>();

    Patient patient;

    HapiClient(FhirContext context, String base, EncodingEnum encoding) {
        client = context.newRestfulGenericClient(base);
        client.setEncoding(encoding);
        checks = new Checks("hapi " + encoding.name().toLowerCase());
    }

    public static void main(String[] arguments) {
        FhirContext context = FhirContext.forR4();
        context.setParserErrorHandler(new StrictErrorHandler());
        context.setPerformanceOptions(PerformanceOptionsEnum.DEFERRED_MODEL_SCANNING);
        // The client asks for the CapabilityStatement before its first request, and looks at its version.
        context.getRestfulClientFactory().setServerValidationMode(ServerValidationModeEnum.ONCE);
        boolean passed = true;
        for (EncodingEnum encoding : List.of(EncodingEnum.JSON, EncodingEnum.XML)) {
            passed &= new HapiClient(context, arguments[0], encoding).run();
        }
        System.exit(passed ? 0 : 1);
    }

    boolean run() {
        checks.check("capabilities", this::capabilities);
        checks.check("create", this::create);
        checks.check("read", this::read);
        checks.check("vread", this::vread);
        checks.check("conditional read", this::conditionalRead);
        checks.check("update", this::update);
        checks.check("update with If-Match", this::updateIfMatch);
        checks.check("lost update is refused", this::lostUpdate);
        checks.check("conditional create", this::conditionalCreate);
        checks.check("conditional update", this::conditionalUpdate);
        checks.check("Prefer: return", this::prefer);
        checks.check("search", this::search);
        checks.check("search by POST", this::searchByPost);
        checks.check("page through", this::page);
        checks.check("chain, include and sort", this::include);
        checks.check("summary and elements", this::summary);
        checks.check("transaction", this::transaction);
        checks.check("batch", this::batch);
        checks.check("JSON patch", this::jsonPatch);
        // The client sends it as JSON, whatever it asks for.
        checks.checkIf(patchFormats.contains("application/fhir+json"), "FHIRPath patch", this::fhirPathPatch);
        checks.check("history", this::history);
        checks.check("$validate", this::validate);
        checks.check("$everything", this::everything);
        checks.check("delete", this::delete);
        checks.check("conditional delete", this::conditionalDelete);
        checks.check("errors are outcomes", this::errors);
        return checks.passed();
    }

    Patient somebody(String name) {
        Patient patient = new Patient();
        patient.addIdentifier().setSystem(SYSTEM).setValue(run + name);
        patient.addName().setFamily("Zoë-" + run).addGiven(name);
        patient.setBirthDateElement(new DateType("1970-03"));
        patient.getText().setStatusAsString("generated");
        patient.getText().setDivAsString("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>a &lt; b &amp; c é</p></div>");
        return patient;
    }

    void capabilities() {
        CapabilityStatement statement = client.capabilities().ofType(CapabilityStatement.class).execute();
        checks.equal("4.0.1", statement.getFhirVersion().toCode());
        checks.equal(146, statement.getRestFirstRep().getResource().size());
        statement.getPatchFormat().forEach(format -> patchFormats.add(format.getValue()));
    }

    void create() {
        MethodOutcome outcome = client.create().resource(somebody("Ann")).execute();
        checks.equal(true, outcome.getCreated());
        checks.equal("1", outcome.getId().getVersionIdPart());
        checks.equal(client.getServerBase(), outcome.getId().getBaseUrl());
        patient = (Patient) outcome.getResource();
        checks.equal("Ann", patient.getNameFirstRep().getGivenAsSingleString());
    }

    void read() {
        Patient read = client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart()).execute();
        checks.equal(true, read.equalsDeep(patient));
        checks.equal("1970-03", read.getBirthDateElement().getValueAsString());
        checks.equal(patient.getText().getDivAsString(), read.getText().getDivAsString());
        checks.equal(patient.getMeta().getLastUpdated(), read.getMeta().getLastUpdated());
    }

    void vread() {
        Patient read = client.read().resource(Patient.class).withUrl(patient.getIdElement().withVersion("1")).execute();
        checks.equal("1", read.getMeta().getVersionId());
    }

    void conditionalRead() {
        Patient mine = new Patient();
        Patient got = client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart())
            .ifVersionMatches("1").returnResource(mine).execute();
        checks.equal(true, got == mine);
    }

    void update() {
        patient.setActive(true);
        MethodOutcome outcome = client.update().resource(patient)
            .withId(patient.getIdElement().toUnqualifiedVersionless()).execute();
        checks.equal("2", outcome.getId().getVersionIdPart());
        patient = (Patient) outcome.getResource();
        checks.equal(true, patient.getActive());
    }

    void updateIfMatch() {
        // The client sends the version of the resource's id as If-Match.
        patient.setActive(false);
        checks.equal("2", patient.getIdElement().getVersionIdPart());
        MethodOutcome outcome = client.update().resource(patient).execute();
        checks.equal("3", outcome.getId().getVersionIdPart());
        patient = (Patient) outcome.getResource();
    }

    void lostUpdate() {
        Patient stale = patient.copy();
        stale.setActive(true);
        stale.setIdElement(patient.getIdElement().withVersion("2"));
        var refused = checks.fails(PreconditionFailedException.class,
            () -> client.update().resource(stale).execute());
        checks.equal("conflict", issue(refused).getCode().toCode());
    }

    void conditionalCreate() {
        MethodOutcome outcome = client.create().resource(somebody("Ann")).conditional()
            .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, run + "Ann")).execute();
        checks.equal(patient.getIdElement().getIdPart(), outcome.getId().getIdPart());
        checks.equal(true, outcome.getCreated() == null || !outcome.getCreated());
    }

    void conditionalUpdate() {
        Patient other = somebody("Ann");
        other.setGender(Enumerations.AdministrativeGender.FEMALE);
        MethodOutcome outcome = client.update().resource(other).conditional()
            .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, run + "Ann")).execute();
        checks.equal(patient.getIdElement().getIdPart(), outcome.getId().getIdPart());
        checks.equal("4", outcome.getId().getVersionIdPart());
        patient = (Patient) outcome.getResource();
    }

    void prefer() {
        MethodOutcome minimal = client.create().resource(somebody("Ben")).prefer(PreferReturnEnum.MINIMAL).execute();
        checks.equal(null, minimal.getResource());
        checks.equal("1", minimal.getId().getVersionIdPart());
        MethodOutcome said =
            client.create().resource(somebody("Cy")).prefer(PreferReturnEnum.OPERATION_OUTCOME).execute();
        checks.equal(true, said.getOperationOutcome() instanceof OperationOutcome);
    }

    void search() {
        Bundle found = client.search().forResource(Patient.class)
            .where(Patient.FAMILY.matches().value("zoe-" + run))
            .and(Patient.GENDER.exactly().code("female"))
            .and(Patient.BIRTHDATE.beforeOrEquals().day("1970-12-31"))
            .returnBundle(Bundle.class).execute();
        checks.equal(1, found.getEntry().size());
        Bundle.BundleEntryComponent entry = found.getEntryFirstRep();
        checks.equal(client.getServerBase() + "/Patient/" + patient.getIdElement().getIdPart(), entry.getFullUrl());
        checks.equal("match", entry.getSearch().getMode().toCode());
    }

    void searchByPost() {
        Bundle found = client.search().forResource(Patient.class)
            .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, run + "Ann"))
            .usingStyle(SearchStyleEnum.POST)
            .returnBundle(Bundle.class).execute();
        checks.equal(1, found.getEntry().size());
    }

    void page() {
        Bundle load = new Bundle().setType(Bundle.BundleType.TRANSACTION);
        for (int value = 0; value < 23; value++) {
            Observation observation = observation(value);
            load.addEntry().setResource(observation).getRequest().setMethod(Bundle.HTTPVerb.POST).setUrl("Observation");
        }
        client.transaction().withBundle(load).execute();
        Bundle bundle = client.search().forResource(Observation.class)
            .where(Observation.SUBJECT.hasId(patient.getIdElement().toUnqualifiedVersionless()))
            .sort(new SortSpec("value-quantity", SortOrderEnum.DESC))
            .count(5).totalMode(SearchTotalModeEnum.ACCURATE)
            .returnBundle(Bundle.class).execute();
        checks.equal(23, bundle.getTotal());
        List<Integer> values = new ArrayList<>();
        Set<String> ids = new HashSet<>();
        while (true) {
            for (Bundle.BundleEntryComponent entry : bundle.getEntry()) {
                Observation observation = (Observation) entry.getResource();
                ids.add(observation.getIdElement().getIdPart());
                values.add(observation.getValueQuantity().getValue().intValue());
            }
            if (bundle.getLink(Bundle.LINK_NEXT) == null) {
                break;
            }
            bundle = client.loadPage().next(bundle).execute();
        }
        checks.equal(23, ids.size());
        for (int at = 0; at < 23; at++) {
            checks.equal(22 - at, values.get(at));
        }
    }

    Observation observation(int value) {
        Observation observation = new Observation();
        observation.setStatus(Observation.ObservationStatus.FINAL);
        observation.getCode().addCoding().setSystem("http://loinc.org").setCode("8867-4");
        observation.getSubject().setReference("Patient/" + patient.getIdElement().getIdPart());
        observation.setEffective(new DateTimeType("2024-02-03T10:00:00.123+01:00"));
        observation.setValue(new Quantity(value).setSystem("http://unitsofmeasure.org").setCode("/min").setUnit("/min"));
        return observation;
    }

    void include() {
        Bundle bundle = client.search().forResource(Observation.class)
            .where(Observation.PATIENT.hasChainedProperty(
                Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, run + "Ann")))
            .and(Observation.VALUE_QUANTITY.greaterThan().number(20).andUnits("http://unitsofmeasure.org", "/min"))
            .include(Observation.INCLUDE_SUBJECT).sort().descending(Observation.DATE)
            .returnBundle(Bundle.class).execute();
        checks.equal(3, bundle.getEntry().size());
        checks.equal("Patient", bundle.getEntry().get(2).getResource().fhirType());
        checks.equal("include", bundle.getEntry().get(2).getSearch().getMode().toCode());
    }

    void summary() {
        Bundle counted = client.search().forResource(Patient.class)
            .where(Patient.FAMILY.matches().value("zoe-" + run)).summaryMode(SummaryEnum.COUNT)
            .returnBundle(Bundle.class).execute();
        checks.equal(3, counted.getTotal());
        checks.equal(0, counted.getEntry().size());
        for (SummaryEnum mode : List.of(SummaryEnum.TRUE, SummaryEnum.TEXT, SummaryEnum.DATA)) {
            Patient read = client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart())
                .summaryMode(mode).execute();
            checks.equal("SUBSETTED", read.getMeta().getTagFirstRep().getCode());
        }
        Patient named = client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart())
            .elementsSubset("name").execute();
        checks.equal(true, named.hasName());
        checks.equal(false, named.hasIdentifier());
    }

    void transaction() {
        Bundle bundle = new Bundle().setType(Bundle.BundleType.TRANSACTION);
        Encounter encounter = new Encounter();
        encounter.setStatus(Encounter.EncounterStatus.FINISHED);
        encounter.getClass_().setSystem("http://terminology.hl7.org/CodeSystem/v3-ActCode").setCode("AMB");
        String url = "urn:uuid:" + UUID.randomUUID();
        encounter.getSubject().setReference("Patient?identifier=" + SYSTEM + "|" + run + "Ann");
        bundle.addEntry().setFullUrl(url).setResource(encounter).getRequest()
            .setMethod(Bundle.HTTPVerb.POST).setUrl("Encounter");
        Observation observation = observation(100);
        observation.getEncounter().setReference(url);
        bundle.addEntry().setResource(observation).getRequest()
            .setMethod(Bundle.HTTPVerb.POST).setUrl("Observation");
        bundle.addEntry().getRequest().setMethod(Bundle.HTTPVerb.GET)
            .setUrl("Patient/" + patient.getIdElement().getIdPart());
        Bundle response = client.transaction().withBundle(bundle).execute();
        checks.equal("transaction-response", response.getType().toCode());
        checks.equal(3, response.getEntry().size());
        checks.equal("201 Created", response.getEntryFirstRep().getResponse().getStatus());
        IdType created = new IdType(response.getEntry().get(1).getResponse().getLocation());
        Observation read = client.read().resource(Observation.class).withId(created.getIdPart()).execute();
        checks.equal(new IdType(response.getEntryFirstRep().getResponse().getLocation()).toUnqualifiedVersionless()
            .getValue(), read.getEncounter().getReference());
        checks.equal("Patient", response.getEntry().get(2).getResource().fhirType());
    }

    void batch() {
        Bundle bundle = new Bundle().setType(Bundle.BundleType.BATCH);
        bundle.addEntry().getRequest().setMethod(Bundle.HTTPVerb.GET).setUrl("Patient/no-such-patient-is-here");
        bundle.addEntry().getRequest().setMethod(Bundle.HTTPVerb.GET)
            .setUrl("Patient?identifier=" + SYSTEM + "%7C" + run + "Ann");
        Bundle response = client.transaction().withBundle(bundle).execute();
        checks.equal("404 Not Found", response.getEntryFirstRep().getResponse().getStatus());
        checks.equal("OperationOutcome", response.getEntryFirstRep().getResponse().getOutcome().fhirType());
        checks.equal(1, ((Bundle) response.getEntry().get(1).getResource()).getEntry().size());
    }

    void jsonPatch() {
        String patch = "[{\"op\": \"replace\", \"path\": \"/gender\", \"value\": \"other\"}]";
        MethodOutcome outcome = client.patch().withBody(patch).withId(patient.getIdElement().toUnqualifiedVersionless())
            .execute();
        checks.equal("5", outcome.getId().getVersionIdPart());
        Patient read = client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart()).execute();
        checks.equal("other", read.getGender().toCode());
    }

    void fhirPathPatch() {
        Parameters patch = new Parameters();
        Parameters.ParametersParameterComponent operation = patch.addParameter().setName("operation");
        operation.addPart().setName("type").setValue(new CodeType("replace"));
        operation.addPart().setName("path").setValue(new StringType("Patient.gender"));
        operation.addPart().setName("value").setValue(new CodeType("unknown"));
        MethodOutcome outcome = client.patch().withFhirPatch(patch)
            .withId(patient.getIdElement().toUnqualifiedVersionless()).execute();
        checks.equal("6", outcome.getId().getVersionIdPart());
        Patient read = client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart()).execute();
        checks.equal("unknown", read.getGender().toCode());
    }

    void history() {
        Bundle history = client.history().onInstance(patient.getIdElement().toUnqualifiedVersionless())
            .returnBundle(Bundle.class).execute();
        checks.equal("history", history.getType().toCode());
        List<String> versions = new ArrayList<>();
        for (Bundle.BundleEntryComponent entry : history.getEntry()) {
            versions.add(entry.getResource().getMeta().getVersionId());
        }
        for (int at = 0; at < versions.size(); at++) {
            checks.equal(String.valueOf(versions.size() - at), versions.get(at));
        }
        checks.equal(true, versions.size() >= 4);
        checks.equal("POST", history.getEntry().get(versions.size() - 1).getRequest().getMethod().toCode());
        Bundle page = client.history().onType(Patient.class).returnBundle(Bundle.class).count(2).execute();
        checks.equal(2, page.getEntry().size());
        page = client.loadPage().next(page).execute();
        checks.equal(2, page.getEntry().size());
        checks.equal(true, !client.history().onServer().returnBundle(Bundle.class).execute().getEntry().isEmpty());
    }

    void validate() {
        MethodOutcome fine = client.validate().resource(somebody("Ann")).execute();
        checks.equal(true, fine.getOperationOutcome() instanceof OperationOutcome);
    }

    void everything() {
        Parameters result = client.operation().onInstance(patient.getIdElement().toUnqualifiedVersionless())
            .named("$everything").withNoParameters(Parameters.class).useHttpGet().execute();
        Bundle bundle = (Bundle) result.getParameterFirstRep().getResource();
        Set<String> types = new HashSet<>();
        bundle.getEntry().forEach(entry -> types.add(entry.getResource().fhirType()));
        checks.equal(Set.of("Patient", "Observation", "Encounter"), types);
    }

    void delete() {
        MethodOutcome created = client.create().resource(somebody("Dee")).execute();
        IdType id = (IdType) created.getId().toUnqualifiedVersionless();
        client.delete().resourceById(id).execute();
        checks.fails(ResourceGoneException.class,
            () -> client.read().resource(Patient.class).withId(id.getIdPart()).execute());
        client.delete().resourceById(id).execute();
        Bundle history = client.history().onInstance(id).returnBundle(Bundle.class).execute();
        checks.equal("DELETE", history.getEntryFirstRep().getRequest().getMethod().toCode());
    }

    void conditionalDelete() {
        client.create().resource(somebody("Eve")).execute();
        client.delete().resourceConditionalByType(Patient.class)
            .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, run + "Eve")).execute();
        Bundle found = client.search().forResource(Patient.class)
            .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, run + "Eve"))
            .cacheControl(new CacheControlDirective().setNoCache(true)).returnBundle(Bundle.class).execute();
        checks.equal(0, found.getEntry().size());
    }

    void errors() {
        var missing = checks.fails(ResourceNotFoundException.class,
            () -> client.read().resource(Patient.class).withId("no-such-patient-is-here").execute());
        checks.equal("not-found", issue(missing).getCode().toCode());
        var unknown = checks.fails(InvalidRequestException.class,
            () -> client.search().byUrl("Patient?colour=red").returnBundle(Bundle.class).execute());
        checks.equal("not-supported", issue(unknown).getCode().toCode());
        Observation incomplete = new Observation();
        var invalid = checks.fails(BaseServerResponseException.class,
            () -> client.create().resource(incomplete).execute());
        checks.equal(true, invalid.getStatusCode() == 400 || invalid.getStatusCode() == 422);
        checks.equal(true, issue(invalid).hasExpression());
    }

    static OperationOutcome.OperationOutcomeIssueComponent issue(BaseServerResponseException error) {
        return ((OperationOutcome) error.getOperationOutcome()).getIssueFirstRep();
    }
}
