// Reads values of crypto attributes, one a line, and says what sdes4j makes of each: one line of JSON.

import ch.imvs.sdes4j.srtp.SrtpCryptoAttribute;
import ch.imvs.sdes4j.srtp.SrtpKeyParam;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;

public class Sdes4j {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(say(line));
        }
    }

    private static String say(String value) {
        try {
            SrtpCryptoAttribute attribute = SrtpCryptoAttribute.create(value);
            List<String> keys = new ArrayList<>();
            for (SrtpKeyParam key : attribute.getKeyParams()) {
                StringBuilder hex = new StringBuilder();
                for (byte octet : key.getKey()) {
                    hex.append(String.format("%02x", octet));
                }
                String form = "{\"material\": \"%s\", \"lifetime\": %d, \"mki\": %d, \"mki_length\": %d}";
                keys.add(String.format(form, hex, key.getLifetime(), key.getMki(), key.getMkiLength()));
            }
            String form = "{\"tag\": %d, \"suite\": \"%s\", \"keys\": [%s]}";
            return String.format(form, attribute.getTag(), attribute.getCryptoSuite().encode(), String.join(", ", keys));
        } catch (RuntimeException refused) {
            return "null";
        }
    }
}
