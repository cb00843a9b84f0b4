package winetest

import "golang.org/x/sys/windows"

// onWine asks for a function that Wine alone has in this library.
func onWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
