import java.util.Objects;

/** Runs checks by name, one line each. */
class Checks {
    interface Body {
        void run() throws Exception;
    }

    private final String client;
    private boolean passed = true;

    Checks(String client) {
        this.client = client;
    }

    boolean passed() {
        return passed;
    }

    void check(String name, Body body) {
        try {
            body.run();
            System.out.println("ok    " + client + ": " + name);
        } catch (Throwable failure) {
            passed = false;
            System.out.println("FAIL  " + client + ": " + name + ": " + failure);
            for (StackTraceElement frame : failure.getStackTrace()) {
                if (frame.getClassName().equals("HapiClient")) {
                    System.out.println("      at " + frame);
                }
            }
        }
    }

    /** Runs the check, or skips it aloud if the server does not say that it supports this. */
    void checkIf(boolean supported, String name, Body body) {
        if (supported) {
            check(name, body);
        } else {
            System.out.println("skip  " + client + ": " + name + ": not supported by this server");
        }
    }

    void equal(Object expected, Object found) {
        if (!Objects.equals(expected, found)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    /** What the body fails with; to be of this class. */
    <T extends Throwable> T fails(Class<T> expected, Body body) {
        try {
            body.run();
        } catch (Throwable failure) {
            if (expected.isInstance(failure)) {
                return expected.cast(failure);
            }
            throw new AssertionError("expected " + expected.getSimpleName() + ", found " + failure, failure);
        }
        throw new AssertionError("expected " + expected.getSimpleName() + ", but nothing failed");
    }
}
