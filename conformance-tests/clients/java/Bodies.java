import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.parser.IParser;
import ca.uhn.fhir.parser.StrictErrorHandler;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.hl7.fhir.instance.model.api.IBaseResource;

/** Parses every body in a folder with HAPI's strict parsers. */
public class Bodies {
    static final int SHOWN = 20;

    /** Where the parser is wrong: `_given` in an array without `given`, as json.html#primitive allows. */
    static final Pattern EXCEPTION = Pattern.compile("Found incorrect type for element _\\w+ - Expected OBJECT and found ARRAY");

    public static void main(String[] arguments) throws Exception {
        FhirContext context = FhirContext.forR4();
        context.setParserErrorHandler(new StrictErrorHandler());
        boolean passed = check(arguments[0], ".json", context.newJsonParser());
        passed &= check(arguments[0], ".xml", context.newXmlParser());
        System.exit(passed ? 0 : 1);
    }

    static boolean check(String folder, String extension, IParser parser) throws Exception {
        List<Path> bodies;
        try (Stream<Path> files = Files.list(Path.of(folder))) {
            bodies = files.filter(path -> path.toString().endsWith(extension)).sorted().toList();
        }
        int failed = 0;
        int excepted = 0;
        for (Path path : bodies) {
            try {
                IBaseResource resource = parser.parseResource(Files.readString(path));
                // What it understood can be written, too.
                parser.encodeResourceToString(resource);
            } catch (Exception error) {
                if (extension.equals(".json") && EXCEPTION.matcher(String.valueOf(error)).find()) {
                    excepted++;
                    continue;
                }
                failed++;
                if (failed <= SHOWN) {
                    String asked = Files.readString(Path.of(path.toString().replace(extension, ".asked")));
                    System.out.println("FAIL  hapi: " + path.getFileName() + " (" + asked + "): " + error);
                }
            }
        }
        if (excepted > 0) {
            System.out.println("      hapi: " + excepted + " excepted: an array of extensions alone (json.html#primitive)");
        }
        String passed = failed == 0 && !bodies.isEmpty() ? "ok   " : "FAIL ";
        System.out.println(passed + " hapi: " + bodies.size() + " bodies (" + extension + "), " + failed + " failed");
        return failed == 0 && !bodies.isEmpty();
    }
}
