package queue

import (
	"fmt"
	"testing"

	"homing/queue/shape"
)

func TestWhenEachCampaignIsThroughWhereTheyTakeTurns(t *testing.T) {
	tests := []struct {
		name  string
		flows map[string]int
		want  map[string]int
	}{
		{"nobody", nil, map[string]int{}},
		{"one alone", map[string]int{"crm a": 10}, map[string]int{"crm a": 10}},
		{"two that are alike", map[string]int{"crm a": 10, "crm b": 10}, map[string]int{"crm a": 20, "crm b": 20}},
		{"a short one beside a long one", map[string]int{"crm a": 10, "crm b": 100}, map[string]int{"crm a": 20, "crm b": 110}},
		{"applications take turns, not campaigns", map[string]int{"crm a": 100, "crm b": 100, "shop c": 100},
			map[string]int{"shop c": 200, "crm a": 300, "crm b": 300}},
	}
	for _, tt := range tests {
		if got := turns(tt.flows); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	var c crowd
	for _, l := range []shape.Load{{Flow: "crm a", Lane: 1}, {Flow: "crm b", Lane: 0}, {Flow: "crm b", Lane: 0}} {
		c.add(l, 10)
	}
	if got, want := fmt.Sprint(c.ends()), fmt.Sprint(map[string]int{"crm b": 20, "crm a": 30}); got != want {
		t.Errorf("with what goes before: %s, want %s", got, want)
	}
}
