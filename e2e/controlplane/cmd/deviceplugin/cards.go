package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"

	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// gone leaves a card out of the list altogether, as a card that fell off the bus does.
const gone = "Gone"

// cards is the state of all cards of one resource; every change wakes each open stream once.
type cards struct {
	options options
	log     *slog.Logger

	mu      sync.Mutex
	health  map[string]string
	changed chan struct{}
}

func newCards(o options, log *slog.Logger) *cards {
	c := &cards{options: o, log: log, health: map[string]string{}, changed: make(chan struct{})}
	c.reload()
	return c
}

// follow reads the state file until ctx ends. A file that cannot be read or holds another word changes nothing.
func (c *cards) follow(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, pollInterval)
		c.reload()
	}
}

func (c *cards) reload() {
	health, err := readHealth(c.options.stateFile)
	if err != nil {
		c.log.Warn("state file not usable, health unchanged", "error", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if maps.Equal(health, c.health) {
		return
	}
	c.log.Info("health changed", "state", health)
	c.health = health
	close(c.changed)
	c.changed = make(chan struct{})
}

func readHealth(path string) (map[string]string, error) {
	health := map[string]string{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return health, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &health); err != nil {
		return nil, err
	}
	for card, word := range health {
		if word != pluginapi.Healthy && word != pluginapi.Unhealthy && word != gone {
			return nil, fmt.Errorf("%s: %q is not Healthy, Unhealthy or Gone", card, word)
		}
	}
	return health, nil
}

// list gives the cards as kubelet is to see them now, and a channel that closes at the next change.
func (c *cards) list() ([]*pluginapi.Device, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	devices := make([]*pluginapi.Device, 0, c.options.count)
	for index := range c.options.count {
		id := fmt.Sprintf("%s%d", c.options.prefix, index)
		switch word := c.health[id]; word {
		case gone:
		case "":
			devices = append(devices, &pluginapi.Device{ID: id, Health: pluginapi.Healthy})
		default:
			devices = append(devices, &pluginapi.Device{ID: id, Health: word})
		}
	}
	return devices, c.changed
}
