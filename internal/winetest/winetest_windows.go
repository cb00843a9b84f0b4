package winetest

import "golang.org/x/sys/windows"

// onWine looks for a function that only Wine has in this library.
func onWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
