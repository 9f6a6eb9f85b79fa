// Command deviceplugin announces cards that do not exist to a real kubelet, over its real gRPC interface.
//
// The health of each card is read from a JSON file, so that a test breaks a card by writing the file and
// kubelet learns of it the way it learns from a maker's plug-in. Registration follows kubelet's socket: when
// kubelet restarts it empties the folder and makes a new socket, and the plug-in serves and registers again.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// pollInterval bounds how late a change of the state file or of kubelet's socket is seen.
const pollInterval = 200 * time.Millisecond

type options struct {
	pluginDir string
	resource  string
	env       string
	prefix    string
	stateFile string
	count     int
}

func parse() (options, error) {
	var o options
	kubeletDir := flag.String("kubelet-dir", pluginapi.DevicePluginPath, "folder that holds kubelet.sock")
	flag.StringVar(&o.resource, "resource", "", "extended resource, for example hygon.com/dcu")
	flag.StringVar(&o.env, "env", "VISIBLE_DEVICES", "variable that names the cards given to a container")
	flag.StringVar(&o.prefix, "prefix", "card-", "what precedes the number in a card's name")
	flag.StringVar(&o.stateFile, "state-file", "", `JSON map of card to "Healthy", "Unhealthy" or "Gone"`)
	flag.IntVar(&o.count, "count", 8, "number of cards")
	flag.Parse()
	o.pluginDir = *kubeletDir
	if o.resource == "" || o.stateFile == "" || o.count < 1 || flag.NArg() > 0 {
		return o, fmt.Errorf("usage: deviceplugin --resource NAME --state-file FILE [--count N] [--kubelet-dir DIR]")
	}
	return o, nil
}

func main() {
	o, err := parse()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("resource", o.resource)
	cards := newCards(o, log)
	go cards.follow(ctx)
	for ctx.Err() == nil {
		if err := serveOnce(ctx, o, cards, log); err != nil {
			log.Warn("serving ended", "error", err)
		}
		sleep(ctx, pollInterval)
	}
}

// serveOnce listens, registers, and returns when kubelet's socket or the plug-in's own one was replaced.
func serveOnce(ctx context.Context, o options, cards *cards, log *slog.Logger) error {
	kubelet := filepath.Join(o.pluginDir, "kubelet.sock")
	before, err := os.Stat(kubelet)
	if err != nil {
		return fmt.Errorf("kubelet is not there yet: %w", err)
	}
	server, socket, err := listen(o, cards)
	if err != nil {
		return err
	}
	defer server.Stop()
	if err := register(ctx, kubelet, o, socket); err != nil {
		return err
	}
	log.Info("registered", "cards", o.count, "socket", socket)
	for ctx.Err() == nil {
		sleep(ctx, pollInterval)
		now, err := os.Stat(kubelet)
		if err != nil || !os.SameFile(before, now) || now.ModTime() != before.ModTime() {
			return fmt.Errorf("kubelet's socket was replaced")
		}
		if _, err := os.Stat(filepath.Join(o.pluginDir, socket)); err != nil {
			return fmt.Errorf("own socket is gone: %w", err)
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
