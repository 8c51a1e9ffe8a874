// Package pressure says how loaded the process is, and so what is to be shed: strangers first, those under attack last.
package pressure
