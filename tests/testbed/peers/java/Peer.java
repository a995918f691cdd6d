import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * A TLS peer on Java's own TLS (JSSE): connects from an address of its own, presents its certificate, sends what stands on
 * standard input and prints what comes back. Of any trouble it prints "error ...", on standard error; an alert's name is in it.
 *
 * <p>Peer ACCEPTOR SOURCE VERSION NAME KEYMANAGER [CHAIN KEY]
 *
 * <p>VERSION is 1.2 or 1.3; NAME the server name to ask for, or - for none; KEYMANAGER the algorithm of the KeyManagerFactory,
 * which decides whether the certificate is shown.
 */
public final class Peer {
    public static void main(String[] arguments) throws Exception {
        try {
            run(arguments);
        } catch (Exception error) {
            System.out.flush();
            System.err.println("error " + error);
            System.exit(1);
        }
    }

    private static void run(String[] arguments) throws Exception {
        int colon = arguments[0].lastIndexOf(':');
        InetSocketAddress acceptor =
                new InetSocketAddress(arguments[0].substring(0, colon), Integer.parseInt(arguments[0].substring(colon + 1)));
        SSLContext context = SSLContext.getInstance("TLS");
        KeyManager[] keys = arguments.length == 7 ? keys(arguments[4], arguments[5], arguments[6]) : new KeyManager[0];
        context.init(keys, new TrustManager[] {new AnyAcceptor()}, null);
        byte[] data = System.in.readAllBytes();
        Socket plain = new Socket();
        plain.bind(new InetSocketAddress(InetAddress.getByName(arguments[1]), 0));
        plain.connect(acceptor, 10_000);
        SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, null, acceptor.getPort(), true);
        socket.setSoTimeout(10_000);
        socket.setEnabledProtocols(new String[] {"TLSv" + arguments[2]});
        if (!arguments[3].equals("-")) {
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setServerNames(List.of(new SNIHostName(arguments[3])));
            socket.setSSLParameters(parameters);
        }
        socket.startHandshake();
        Thread writing = new Thread(() -> {
            try {
                socket.getOutputStream().write(data);
                socket.getOutputStream().flush();
            } catch (Exception error) {
                // What is read tells more: the alert is there.
            }
        });
        writing.setDaemon(true);
        writing.start();
        InputStream in = socket.getInputStream();
        byte[] buffer = new byte[16384];
        for (int count = 0; count < data.length; ) {
            int read = in.read(buffer);
            if (read < 0) {
                throw new java.io.EOFException("closed after " + count + " octets");
            }
            System.out.write(buffer, 0, read);
            count += read;
        }
        System.out.flush();
    }

    private static KeyManager[] keys(String algorithm, String chainFile, String keyFile) throws Exception {
        Certificate[] chain;
        try (InputStream in = Files.newInputStream(Path.of(chainFile))) {
            chain = CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new Certificate[0]);
        }
        char[] password = "none".toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("peer", key(Files.readString(Path.of(keyFile))), password, chain);
        KeyManagerFactory factory = KeyManagerFactory.getInstance(algorithm);
        factory.init(store, password);
        return factory.getKeyManagers();
    }

    private static PrivateKey key(String pem) throws Exception {
        byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
        try {
            return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        } catch (InvalidKeySpecException error) {
            return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(der));
        }
    }

    /** It trusts any acceptor: the tests are about how the acceptor judges the peer. */
    private static final class AnyAcceptor extends X509ExtendedTrustManager {
        @Override public void checkServerTrusted(X509Certificate[] chain, String type) {}
        @Override public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}
        @Override public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        @Override public void checkClientTrusted(X509Certificate[] chain, String type) {}
        @Override public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}
        @Override public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        @Override public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
    }
}
