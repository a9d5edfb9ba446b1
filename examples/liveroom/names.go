package main

import "math/rand/v2"

var (
	manners = []string{
		"晚风", "橘子", "薄荷", "星河", "山茶", "海盐", "云朵", "月光", "柚子", "清晨", "雨巷", "雪国", "麦田", "灯塔", "草莓", "深海",
	}
	animals = []string{
		"水獭", "熊猫", "柴犬", "海豚", "狐狸", "松鼠", "企鹅", "白鹭", "小鹿", "羊驼", "刺猬", "橘猫", "鲸鱼", "考拉", "浣熊", "云雀",
	}
)

// randomName makes up a name for a guest.
func randomName() string { return nameOf(rand.IntN(len(manners) * len(animals))) }

// nameOf is the n-th made-up name; neighbours differ in both halves, and all
// names have had their turn before one comes again.
func nameOf(n int) string {
	return manners[n%len(manners)] + animals[(n/len(manners)+n%len(manners))%len(animals)]
}
