// A TLS peer on Go's crypto/tls: connects from an address of its own, presents its certificate, sends what stands on standard
// input and prints what comes back. Of an alert it prints "alert N", of any other trouble "error ...", both on standard error.
//
//	peer [-again] ACCEPTOR SOURCE VERSION NAME [CHAIN KEY]
//
// With -again it connects twice, offers the second time whatever session the first has given, and prints "resumed true" or "resumed
// false" each time. VERSION is 1.2 or 1.3; NAME the server name to ask for, or - for none.
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		var operation *net.OpError
		if errors.As(err, &operation) && operation.Op == "remote error" {
			if number := reflect.ValueOf(operation.Err); number.Kind() == reflect.Uint8 {
				fmt.Fprintf(os.Stderr, "alert %d\n", number.Uint())
			}
		}
		fmt.Fprintf(os.Stderr, "error %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	again := len(arguments) > 0 && arguments[0] == "-again"
	if again {
		arguments = arguments[1:]
	}
	if len(arguments) != 4 && len(arguments) != 6 {
		return errors.New("usage: peer [-again] ACCEPTOR SOURCE VERSION NAME [CHAIN KEY]")
	}
	version := uint16(tls.VersionTLS13)
	if arguments[2] == "1.2" {
		version = tls.VersionTLS12
	}
	// It trusts any acceptor: the tests are about how the acceptor judges the peer.
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}
	if arguments[3] != "-" {
		config.ServerName = arguments[3]
	}
	if len(arguments) == 6 {
		certificate, err := tls.LoadX509KeyPair(arguments[4], arguments[5])
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if again {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		if err := exchange(arguments, config, data, io.Discard, true); err != nil {
			return err
		}
	}
	return exchange(arguments, config, data, os.Stdout, again)
}

func exchange(arguments []string, config *tls.Config, data []byte, out io.Writer, tell bool) error {
	source := &net.TCPAddr{IP: net.ParseIP(arguments[1])}
	dialer := &net.Dialer{LocalAddr: source, Timeout: 10 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", arguments[0], config)
	if err != nil {
		return err
	}
	defer connection.Close()
	written := make(chan error, 1)
	go func() {
		_, err := connection.Write(data)
		written <- err
	}()
	// What is read tells more than what could not be written: the alert is there.
	echoed := make([]byte, len(data))
	count, err := io.ReadFull(connection, echoed)
	if tell {
		fmt.Fprintf(os.Stderr, "resumed %v\n", connection.ConnectionState().DidResume)
	}
	out.Write(echoed[:count])
	if err != nil {
		return err
	}
	return <-written
}
