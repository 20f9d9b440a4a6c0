import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigInteger;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Which arm a unit runs, by the rule of wire-format.md: nothing but Java's own library. */
class ReadConfig {
    record Arm(String name, String kind, double share) {}

    static double position(String salt, String unit) throws Exception {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest((salt + ":" + unit).getBytes(UTF_8));
        return new BigInteger(1, Arrays.copyOf(hash, 8)).doubleValue() / 0x1p64;
    }

    /** The arm that a unit runs and measures; null: it runs the incumbent, unmeasured. */
    static Arm armOf(String unit, String salt, List<Arm> arms, Map<String, String> pinned) throws Exception {
        double where = position(salt, unit), upto = 0;
        for (Arm arm : arms) {
            upto += arm.share();
            if (pinned.containsKey(unit) ? pinned.get(unit).equals(arm.name()) : where < upto)
                return List.of("explore", "candidate", "confirm", "baseline").contains(arm.kind()) ? arm : null;
        }
        return null;
    }

    /** Reads "salt S", "arm NAME KIND SHARE", "pin UNIT NAME" and "unit U", with tabs; answers each unit. */
    public static void main(String[] none) throws Exception {
        String salt = "";
        List<Arm> arms = new ArrayList<>();
        Map<String, String> pinned = new HashMap<>();
        PrintStream out = new PrintStream(System.out, false, UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split("\t", -1);
            switch (words[0]) {
                case "salt" -> salt = words[1];
                case "arm" -> arms.add(new Arm(words[1], words[2], Double.parseDouble(words[3])));
                case "pin" -> pinned.put(words[1], words[2]);
                default -> {
                    Arm arm = armOf(words[1], salt, arms, pinned);
                    out.println(position(salt, words[1]) + "\t" + (arm == null ? "incumbent" : arm.name()));
                }
            }
        }
        out.flush();
    }
}
