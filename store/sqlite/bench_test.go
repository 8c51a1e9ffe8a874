package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/store"
)

func BenchmarkCommit(b *testing.B) {
	const small, large = 400, 1300 // bytes; a large value does not fit into its key's page
	for _, c := range []struct{ size, bytes int }{{1, small}, {64, small}, {1000, small}, {1, large}, {64, large}} {
		size := c.size
		b.Run(fmt.Sprintf("records=%d/bytes=%d", c.size, c.bytes), func(b *testing.B) {
			s, _ := open(b, Config{Path: filepath.Join(b.TempDir(), "gate.db")})
			value := []byte(strings.Repeat("v", c.bytes))
			for n := 0; b.Loop(); n++ {
				batch := store.Batch{Records: make([]store.Record, size)}
				for i := range batch.Records {
					key := fmt.Sprintf("client-%05d", (n*size+i)%20000)
					batch.Records[i] = store.Record{Kind: "mitigation", Key: key, Value: value}
				}
				if err := s.Commit(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
