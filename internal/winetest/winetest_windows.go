package winetest

import "golang.org/x/sys/windows"

// isWine looks for a function that only Wine has in this library.
func isWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
