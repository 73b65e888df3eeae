package peer;

import com.fasterxml.jackson.annotation.JacksonAnnotationsInside;
import com.fasterxml.jackson.annotation.JsonRawValue;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import java.io.IOException;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.nio.charset.StandardCharsets;

/** JSON that nobody looks into: its text goes from the bytes that are read to those written. */
@Retention(RetentionPolicy.RUNTIME)
@JacksonAnnotationsInside
@JsonRawValue
@JsonDeserialize(using = Verbatim.Reader.class)
@interface Verbatim {

    /** Takes the text out of the bytes that are parsed; their factory must tell the source. */
    final class Reader extends StdDeserializer<String> {
        Reader() {
            super(String.class);
        }

        @Override
        public String deserialize(JsonParser parser, DeserializationContext ignored)
                throws IOException {
            int from = (int) parser.currentTokenLocation().getByteOffset();
            parser.skipChildren();
            JsonLocation end = parser.currentLocation();
            byte[] whole = (byte[]) end.contentReference().getRawContent();
            int length = (int) end.getByteOffset() - from;
            return new String(whole, from, length, StandardCharsets.UTF_8);
        }
    }
}
